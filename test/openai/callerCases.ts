import { type Cases, params } from "./itemCase.ts"

/** Texts, and calls that wait for the caller. */
export const callerCases = {
  message: [
    {
      item: {
        type: "message",
        id: "msg_1",
        role: "assistant",
        status: "completed",
        content: [{ type: "output_text", text: "Hello", annotations: [] }]
      },
      announced: { content: [] },
      events: [
        { type: "response.output_text.delta", content_index: 0, delta: "Hello" },
        { type: "response.output_text.done", content_index: 0, text: "Hello" }
      ],
      parts: ["<text-start>", "<text-end>"]
    }
  ],
  reasoning: [
    {
      item: {
        type: "reasoning",
        id: "rs_1",
        summary: [{ type: "summary_text", text: "Hm" }],
        encrypted_content: "sealed"
      },
      announced: { summary: [], encrypted_content: null },
      events: [
        { type: "response.reasoning_summary_text.delta", summary_index: 0, delta: "Hm" },
        { type: "response.reasoning_summary_text.done", summary_index: 0, text: "Hm" }
      ],
      parts: ["<reasoning-start>", "<reasoning-end>", "<reasoning-start>", "<reasoning-end>"],
      stateless: true
    }
  ],
  compaction: [
    {
      item: { type: "compaction", id: "cmp_1", encrypted_content: "sealed" },
      announced: { encrypted_content: "" },
      events: [{ type: "response.compaction.compacting" }],
      parts: ["<reasoning-start>", "<reasoning-end>"],
      stateless: true
    }
  ],
  function_call: [
    {
      item: {
        type: "function_call",
        id: "fc_1",
        call_id: "call_1",
        name: "weather",
        arguments: '{"city":"Paris"}',
        status: "completed"
      },
      announced: { arguments: "" },
      events: [
        { type: "response.function_call_arguments.delta", delta: '{"city":' },
        { type: "response.function_call_arguments.delta", delta: '"Paris"}' },
        { type: "response.function_call_arguments.done", arguments: '{"city":"Paris"}' }
      ],
      parts: [...params, "call weather call_1"],
      waits: ["weather call_1"],
      metadata: { itemId: "fc_1" }
    },
    {
      item: {
        type: "function_call",
        id: "fc_1",
        call_id: "call_1",
        name: "weather",
        namespace: "sky",
        caller: { type: "program", caller_id: "prog_1" },
        arguments: "{}",
        status: "completed"
      },
      announced: { arguments: "" },
      events: [
        { type: "response.function_call_arguments.delta", delta: "{}" },
        { type: "response.function_call_arguments.done", arguments: "{}" }
      ],
      parts: [...params, "call weather call_1"],
      waits: ["weather call_1"],
      metadata: { itemId: "fc_1", namespace: "sky", caller: { type: "program", caller_id: "prog_1" } }
    }
  ],
  custom_tool_call: [
    {
      item: { type: "custom_tool_call", id: "ct_1", call_id: "call_1", name: "grep", input: "a b" },
      announced: { input: "" },
      events: [
        { type: "response.custom_tool_call_input.delta", delta: "a b" },
        { type: "response.custom_tool_call_input.done", input: "a b" }
      ],
      parts: [...params, "call grep call_1"],
      waits: ["grep call_1"],
      metadata: { itemId: "ct_1", type: "custom_tool_call" },
      stateless: true
    }
  ],
  computer_call: [
    {
      item: {
        type: "computer_call",
        id: "cu_1",
        call_id: "call_1",
        actions: [{ type: "screenshot" }],
        pending_safety_checks: [{ id: "sc_1", code: "malicious", message: "Look" }],
        status: "completed"
      },
      announced: {},
      parts: ["call computer call_1"],
      waits: ["computer call_1"],
      metadata: { itemId: "cu_1", type: "computer_call" }
    }
  ],
  local_shell_call: [
    {
      item: {
        type: "local_shell_call",
        id: "lsh_1",
        call_id: "call_1",
        action: { type: "exec", command: ["ls"], env: {} },
        status: "completed"
      },
      announced: {},
      parts: ["call local_shell call_1"],
      waits: ["local_shell call_1"],
      metadata: { itemId: "lsh_1", type: "local_shell_call" }
    }
  ],
  shell_call: [
    {
      item: {
        type: "shell_call",
        id: "sh_1",
        call_id: "call_1",
        action: { commands: ["ls", "pwd"], max_output_length: null, timeout_ms: null },
        environment: { type: "local" },
        status: "completed"
      },
      announced: { action: { commands: [], max_output_length: null, timeout_ms: null } },
      events: [
        { type: "response.shell_call_command.added", command_index: 0, command: "" },
        { type: "response.shell_call_command.delta", command_index: 0, delta: "ls" },
        { type: "response.shell_call_command.done", command_index: 0, command: "ls" }
      ],
      parts: ["call shell call_1"],
      waits: ["shell call_1"],
      metadata: { itemId: "sh_1", type: "shell_call" }
    },
    {
      item: {
        type: "shell_call",
        id: "sh_1",
        call_id: "call_1",
        action: { commands: ["ls"], max_output_length: null, timeout_ms: null },
        environment: { type: "container_reference", container_id: "cntr_1" },
        status: "completed"
      },
      announced: { action: { commands: [], max_output_length: null, timeout_ms: null } },
      parts: ["call shell call_1 by the provider"]
    }
  ],
  apply_patch_call: [
    {
      item: {
        type: "apply_patch_call",
        id: "apc_1",
        call_id: "call_1",
        operation: { type: "update_file", path: "a.ts", diff: "@@" },
        status: "completed"
      },
      announced: { operation: { type: "update_file", path: "a.ts", diff: "" } },
      events: [{ type: "response.apply_patch_call_operation_diff.delta", delta: "@@" }],
      parts: ["call apply_patch call_1"],
      waits: ["apply_patch call_1"],
      metadata: { itemId: "apc_1", type: "apply_patch_call" }
    }
  ],
  mcp_approval_request: [
    {
      item: { type: "mcp_approval_request", id: "mcpr_1", server_label: "wiki", name: "ask", arguments: '{"q":1}' },
      announced: {},
      parts: ["call mcp mcpr_1 by the provider", "approval mcpr_1 of mcpr_1"],
      waits: ["mcp mcpr_1"],
      metadata: { itemId: "mcpr_1", type: "mcp_approval_request" },
      stateless: true
    }
  ],
  tool_search_call: [
    {
      item: {
        type: "tool_search_call",
        id: "tsc_1",
        call_id: null,
        arguments: { paths: ["crm"] },
        execution: "server",
        status: "completed"
      },
      announced: {},
      parts: ["call tool_search tsc_1 by the provider"]
    },
    {
      item: {
        type: "tool_search_call",
        id: "tsc_1",
        call_id: "call_1",
        arguments: { goal: "find" },
        execution: "client",
        status: "completed"
      },
      announced: {},
      parts: ["call tool_search call_1"],
      waits: ["tool_search call_1"],
      metadata: { itemId: "tsc_1", type: "tool_search_call" }
    }
  ]
} satisfies Partial<Cases>
