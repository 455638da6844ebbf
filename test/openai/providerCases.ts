import { type Cases, params } from "./itemCase.ts"

const image = "aGVsbG8="

/** Calls that the provider runs, results, and the rest. */
export const providerCases = {
  web_search_call: [
    {
      item: {
        type: "web_search_call",
        id: "ws_1",
        action: { type: "search", query: "q", sources: [{ type: "url", url: "https://a.test" }] },
        status: "completed"
      },
      announced: { action: { type: "search", query: "q" } },
      events: [{ type: "response.web_search_call.searching" }, { type: "response.web_search_call.completed" }],
      parts: ["call web_search ws_1 by the provider", "result web_search ws_1"]
    },
    {
      item: { type: "web_search_call", id: "ws_1", action: { type: "open_page", url: null }, status: "failed" },
      announced: {},
      parts: ["call web_search ws_1 by the provider", "failure web_search ws_1"]
    }
  ],
  file_search_call: [
    {
      item: {
        type: "file_search_call",
        id: "fs_1",
        queries: ["q"],
        results: [{ file_id: "file-1", filename: "a.pdf", score: 0.5, text: "x" }],
        status: "completed"
      },
      announced: { queries: [], results: null },
      events: [{ type: "response.file_search_call.completed" }],
      parts: ["call file_search fs_1 by the provider", "result file_search fs_1"]
    }
  ],
  code_interpreter_call: [
    {
      item: {
        type: "code_interpreter_call",
        id: "ci_1",
        code: "print(1)",
        container_id: "cntr_1",
        outputs: [
          { type: "logs", logs: "1" },
          { type: "image", url: `data:image/png;base64,${image}` }
        ],
        status: "completed"
      },
      announced: { code: "", outputs: null },
      events: [
        { type: "response.code_interpreter_call_code.delta", delta: "print" },
        { type: "response.code_interpreter_call_code.delta", delta: "(1)" },
        { type: "response.code_interpreter_call_code.done", code: "print(1)" },
        { type: "response.code_interpreter_call.interpreting" }
      ],
      parts: [...params, "call code_interpreter ci_1 by the provider", "result code_interpreter ci_1"]
    },
    {
      item: {
        type: "code_interpreter_call",
        id: "ci_1",
        code: null,
        container_id: "cntr_1",
        outputs: null,
        status: "failed"
      },
      announced: {},
      events: [{ type: "response.code_interpreter_call_code.done", code: "" }],
      parts: [...params, "call code_interpreter ci_1 by the provider", "failure code_interpreter ci_1"]
    }
  ],
  image_generation_call: [
    {
      item: {
        type: "image_generation_call",
        id: "ig_1",
        result: image,
        output_format: "webp",
        revised_prompt: "a cat",
        status: "completed"
      },
      announced: { result: null },
      events: [
        {
          type: "response.image_generation_call.partial_image",
          item_id: "ig_1",
          partial_image_index: 0,
          partial_image_b64: "aA=="
        },
        {
          type: "response.image_generation_call.partial_image",
          item_id: "ig_1",
          partial_image_index: 1,
          partial_image_b64: "aGU="
        }
      ],
      parts: [
        "preliminary image_generation ig_1",
        "preliminary image_generation ig_1",
        "call image_generation ig_1 by the provider",
        "file image/webp",
        "result image_generation ig_1"
      ]
    },
    {
      item: {
        type: "image_generation_call",
        id: "ig_1",
        result: null,
        error: { code: "moderation_blocked", message: "No", param: null, type: "image_generation_user_error" },
        status: "failed"
      },
      announced: {},
      parts: ["call image_generation ig_1 by the provider", "failure image_generation ig_1"]
    }
  ],
  mcp_call: [
    {
      item: {
        type: "mcp_call",
        id: "mcp_1",
        server_label: "wiki",
        name: "ask",
        arguments: '{"q":1}',
        output: "yes",
        error: null,
        approval_request_id: null,
        status: "completed"
      },
      announced: { arguments: "", output: null },
      events: [
        { type: "response.mcp_call_arguments.delta", delta: '{"q":1}' },
        { type: "response.mcp_call_arguments.done", arguments: '{"q":1}' },
        { type: "response.mcp_call.completed" }
      ],
      parts: [...params, "call mcp mcp_1 by the provider", "result mcp mcp_1"]
    },
    {
      item: {
        type: "mcp_call",
        id: "mcp_1",
        server_label: "wiki",
        name: "ask",
        arguments: "{}",
        output: null,
        error: { type: "http_error", code: 500, message: "no" },
        approval_request_id: "mcpr_1",
        status: "failed"
      },
      announced: { arguments: "", error: null },
      events: [
        { type: "response.mcp_call_arguments.delta", delta: "{}" },
        { type: "response.mcp_call_arguments.done", arguments: "{}" }
      ],
      parts: [...params, "call mcp mcpr_1 by the provider", "failure mcp mcpr_1"]
    }
  ],
  mcp_list_tools: [
    {
      item: {
        type: "mcp_list_tools",
        id: "mcpl_1",
        server_label: "wiki",
        tools: [{ name: "ask", input_schema: { type: "object" } }]
      },
      announced: { tools: [] },
      events: [{ type: "response.mcp_list_tools.completed" }],
      parts: ["call mcp_list_tools mcpl_1 by the provider", "result mcp_list_tools mcpl_1"],
      stateless: true
    },
    {
      item: { type: "mcp_list_tools", id: "mcpl_1", server_label: "wiki", tools: [], error: "unreachable" },
      announced: { error: null },
      parts: ["call mcp_list_tools mcpl_1 by the provider", "failure mcp_list_tools mcpl_1"],
      stateless: true
    }
  ],
  program: [
    {
      item: { type: "program", id: "prog_1", call_id: "call_1", code: "f()", fingerprint: "x" },
      announced: { code: "" },
      parts: ["call programmatic_tool_calling call_1 by the provider"],
      stateless: true
    }
  ],
  function_call_output: [
    {
      item: {
        type: "function_call_output",
        id: "fo_1",
        call_id: "call_1",
        name: "f",
        output: "x",
        status: "completed"
      },
      announced: { output: "" },
      parts: ["result f call_1"]
    }
  ],
  custom_tool_call_output: [
    {
      item: { type: "custom_tool_call_output", id: "co_1", call_id: "call_1", output: "x", status: "completed" },
      announced: { output: "" },
      parts: ["result custom call_1"]
    }
  ],
  computer_call_output: [
    {
      item: {
        type: "computer_call_output",
        id: "cuo_1",
        call_id: "call_1",
        output: { type: "computer_screenshot", image_url: "https://a.test/x.png" },
        status: "completed"
      },
      announced: {},
      parts: ["result computer call_1"]
    }
  ],
  local_shell_call_output: [
    {
      item: { type: "local_shell_call_output", id: "call_1", output: "x", status: "completed" },
      announced: { output: "" },
      parts: ["result local_shell call_1"]
    }
  ],
  shell_call_output: [
    {
      item: {
        type: "shell_call_output",
        id: "sho_1",
        call_id: "call_1",
        max_output_length: null,
        output: [{ stdout: "x", stderr: "", outcome: { type: "exit", exit_code: 0 } }],
        status: "completed"
      },
      announced: { output: [] },
      events: [{ type: "response.shell_call_output_content.delta", command_index: 0, delta: { stdout: "x" } }],
      parts: ["result shell call_1"]
    }
  ],
  apply_patch_call_output: [
    {
      item: { type: "apply_patch_call_output", id: "apo_1", call_id: "call_1", output: "no", status: "failed" },
      announced: { output: null },
      parts: ["failure apply_patch call_1"]
    }
  ],
  tool_search_output: [
    {
      item: {
        type: "tool_search_output",
        id: "tso_1",
        call_id: "call_1",
        execution: "client",
        tools: [],
        status: "completed"
      },
      announced: {},
      parts: ["result tool_search call_1"]
    }
  ],
  program_output: [
    {
      item: { type: "program_output", id: "po_1", call_id: "call_1", result: "7", status: "completed" },
      announced: { result: "" },
      parts: ["result programmatic_tool_calling call_1"]
    }
  ],
  mcp_approval_response: [
    {
      item: { type: "mcp_approval_response", id: "mcpa_1", approval_request_id: "mcpr_1", approve: true },
      announced: {},
      parts: [],
      stateless: true
    }
  ],
  additional_tools: [
    {
      item: { type: "additional_tools", id: "at_1", role: "developer", tools: [] },
      announced: {},
      parts: [],
      stateless: true
    }
  ]
} satisfies Partial<Cases>
