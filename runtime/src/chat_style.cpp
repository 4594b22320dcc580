#include "skerry/runtime/chat_style.hpp"

namespace skerry::runtime {
namespace {

ToolSyntax read_tool_syntax(std::string_view text) {
  const auto has = [text](std::string_view what) {
    return text.find(what) != std::string_view::npos;
  };
  if (!has("tools")) {
    return ToolSyntax::kNone;
  }
  if (has("<｜tool▁calls▁begin｜>")) {
    // Since V3.1 a call is written in another way.
    return has("```json") ? ToolSyntax::kDeepSeek : ToolSyntax::kUnknown;
  }
  if (has("[TOOL_CALLS]")) {
    return has("[ARGS]") || has("[CALL_ID]") ? ToolSyntax::kUnknown : ToolSyntax::kMistral;
  }
  if (has("<|tool_call|>")) {
    return ToolSyntax::kList;
  }
  if (has("<tool_call>")) {
    const bool other = has("<function=") || has("<arg_key>") || has("<parameter=");
    return other ? ToolSyntax::kUnknown : ToolSyntax::kHermes;
  }
  if (has("<|start_header_id|>") && has("\"parameters\"") && !has("<function=")) {
    return ToolSyntax::kLlama;
  }
  return ToolSyntax::kUnknown;
}

}  // namespace

std::string_view to_string(ToolSyntax syntax) noexcept {
  switch (syntax) {
    case ToolSyntax::kNone:
      return "none";
    case ToolSyntax::kUnknown:
      return "unknown";
    case ToolSyntax::kHermes:
      return "hermes";
    case ToolSyntax::kLlama:
      return "llama";
    case ToolSyntax::kMistral:
      return "mistral";
    case ToolSyntax::kList:
      return "list";
    case ToolSyntax::kDeepSeek:
      return "deepseek";
    case ToolSyntax::kServer:
      return "server";
  }
  return "unknown";
}

ChatStyle read_chat_style(std::string_view chat_template) {
  ChatStyle style;
  style.tools = read_tool_syntax(chat_template);
  style.thinks = chat_template.find("</think>") != std::string_view::npos;
  return style;
}

std::vector<std::string> marks_of(const ChatStyle& style) {
  std::vector<std::string> marks;
  if (style.thinks) {
    marks = {"<think>", "</think>"};
  }
  switch (style.tools) {
    case ToolSyntax::kHermes:
      marks.insert(marks.end(), {"<tool_call>", "</tool_call>"});
      break;
    case ToolSyntax::kMistral:
      marks.emplace_back("[TOOL_CALLS]");
      break;
    case ToolSyntax::kList:
      marks.insert(marks.end(), {"<|tool_call|>", "<|/tool_call|>"});
      break;
    case ToolSyntax::kDeepSeek:
      marks.insert(marks.end(),
                   {"<｜tool▁calls▁begin｜>",
                    "<｜tool▁call▁begin｜>",
                    "<｜tool▁sep｜>",
                    "<｜tool▁call▁end｜>",
                    "<｜tool▁calls▁end｜>"});
      break;
    default:
      break;
  }
  return marks;
}

}  // namespace skerry::runtime
