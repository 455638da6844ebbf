import type { Mutant } from "./Mutant.ts"

export default [
  {
    id: "changed-agent-continues",
    guarantee: 13,
    breaks: "an agent that changed while its run was under way is AgentChanged",
    file: "packages/core/src/internal/run/openRun.ts",
    find: "agent.version === record.agentVersion",
    replace: "agent.name === record.agent",
    test: "test/core/Input.test.ts",
    title: "another version of the agent: refused while the run is under way, unless the policy allows it"
  },
  {
    id: "newer-run-touched",
    guarantee: 13,
    breaks: "the file store leaves alone a run that a later version wrote",
    file: "packages/core/src/internal/file/fileStore.ts",
    find: "id !== undefined && newer.has(id)",
    replace: "id !== undefined && newer.has(operation)",
    test: "test/core/TokenStoreFileRecovery.test.ts",
    title: "a run that a later version wrote is left alone, and kept through a rewrite"
  },
  {
    id: "redis-newer-run-touched",
    guarantee: 13,
    breaks: "Redis keeps a run that a later version wrote",
    file: "packages/redis/src/internal/scripts/parts.ts",
    find: "> 2 and { 'newer' }",
    replace: "> 2 and { 'none' }",
    test: "test/redis/Loss.test.ts",
    title: "a run of a later version is left alone"
  }
] satisfies ReadonlyArray<Mutant>
