#include "skerry/cli/chat_transcript.hpp"

#include <utility>

#include <fmt/format.h>

namespace skerry::cli {
namespace {

constexpr std::string_view kFormat = "skerry-chat";
constexpr std::int64_t kFormatVersion = 1;

Result<void> check_format(const Json& json) {
  const auto format = json.get_string("format");
  if (!format || *format != kFormat) {
    return Error{Error::Code::kParse, "this is no saved chat: format is not \"skerry-chat\""};
  }
  const auto version = json.get_int("format_version");
  if (!version || *version != kFormatVersion) {
    return Error{Error::Code::kParse,
                 fmt::format("format_version {} is wanted; a newer skerry may have written this",
                             kFormatVersion)};
  }
  return {};
}

Result<ChatTurn> read_turn(const Json& json, std::size_t index) {
  const auto where = [index] { return fmt::format("messages[{}]", index); };
  const auto role = json.get_string("role");
  if (!role) {
    return role.error().with_context(where());
  }
  if (*role != "user" && *role != "assistant") {
    return Error{Error::Code::kParse, where() + ".role is neither user nor assistant"};
  }
  auto content = json.get_string("content");
  if (!content) {
    return content.error().with_context(where());
  }
  return ChatTurn{*role == "assistant", *std::move(content)};
}

}  // namespace

std::string ChatTranscript::to_text() const {
  Json::Array messages;
  for (const ChatTurn& turn : turns) {
    messages.emplace_back(
        Json::Object{{"role", turn.by_model ? "assistant" : "user"}, {"content", turn.text}});
  }
  const Json json{Json::Object{{"format", kFormat},
                               {"format_version", kFormatVersion},
                               {"model", model},
                               {"system", system},
                               {"settings", settings.to_json()},
                               {"messages", std::move(messages)}}};
  return json.dump_pretty() + "\n";
}

Result<ChatTranscript> ChatTranscript::from_text(std::string_view text) {
  const auto json = Json::parse(text, {.bytes = kMostBytes, .depth = 8});
  if (!json) {
    return json.error();
  }
  if (auto format = check_format(*json); !format) {
    return format.error();
  }
  ChatTranscript transcript;
  auto model = json->get_string("model");
  auto system = json->get_string("system");
  const auto settings = json->get_object("settings");
  const auto messages = json->get_array("messages");
  for (const auto* part : {&model, &system}) {
    if (!*part) {
      return part->error();
    }
  }
  for (const auto* part : {&settings, &messages}) {
    if (!*part) {
      return part->error();
    }
  }
  auto read = ChatSettings::from_json(**settings);
  if (!read) {
    return read.error();
  }
  transcript.model = *std::move(model);
  transcript.system = *std::move(system);
  transcript.settings = *std::move(read);
  const Json::Array& turns = *(*messages)->array();
  if (turns.size() > kMostTurns) {
    return Error{Error::Code::kTooLarge, fmt::format("messages: at most {} are read", kMostTurns)};
  }
  for (std::size_t i = 0; i < turns.size(); ++i) {
    auto turn = read_turn(turns[i], i);
    if (!turn) {
      return turn.error();
    }
    transcript.turns.push_back(*std::move(turn));
  }
  return transcript;
}

}  // namespace skerry::cli
