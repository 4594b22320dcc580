#include "skerry/registry/pinned_prompts.hpp"

#include <algorithm>
#include <set>

#include "skerry/common/bytes.hpp"
#include "skerry/common/id.hpp"
#include "skerry/common/json.hpp"

#include "object_reader.hpp"

namespace skerry::registry {
namespace {

constexpr std::string_view kPinnedRoles[] = {"system", "user", "assistant"};
constexpr std::size_t kRoleLength = 32;
constexpr std::size_t kPromptNameLength = 64;

std::string pinned_path(std::string_view list, std::size_t index) {
  std::string path{list};
  path.append("[").append(std::to_string(index)).append("]");
  return path;
}

std::vector<PinnedMessage> read_messages(const std::vector<Json>& list,
                                         const std::string& path,
                                         Failure& failure) {
  std::vector<PinnedMessage> messages;
  for (std::size_t i = 0; i < list.size() && !failure.failed(); ++i) {
    ObjectReader reader{&list[i], pinned_path(path, i), failure};
    PinnedMessage message;
    message.role = reader.text("role", kRoleLength);
    message.content = reader.text("content", PinnedPromptLimits::kBytes);
    reader.finish();
    messages.push_back(std::move(message));
  }
  return messages;
}

void check_messages(const std::vector<PinnedMessage>& messages,
                    const std::string& path,
                    Failure& failure) {
  if (messages.empty() || messages.size() > PinnedPromptLimits::kMessages) {
    failure.set(path, "must have 1 to 32 elements");
    return;
  }
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const std::string& role = messages[i].role;
    if (std::find(std::begin(kPinnedRoles), std::end(kPinnedRoles), role) ==
        std::end(kPinnedRoles)) {
      failure.set(pinned_path(path, i) + ".role", "must be system, user or assistant");
    }
    if (messages[i].content.empty() || !is_utf8(messages[i].content)) {
      failure.set(pinned_path(path, i) + ".content", "must be UTF-8, and not empty");
    }
  }
  if (messages.back().role == "user") {
    failure.set(path, "must not end with a message of the user, whose words follow");
  }
}

void check_prompts(const std::vector<PinnedPrompt>& prompts, Failure& failure) {
  if (prompts.empty() || prompts.size() > PinnedPromptLimits::kPrompts) {
    failure.set("prompts", "must have 1 to 4 elements");
    return;
  }
  std::set<std::string_view> names;
  for (std::size_t i = 0; i < prompts.size() && !failure.failed(); ++i) {
    const std::string path = pinned_path("prompts", i);
    if (auto ok = check_name(prompts[i].name, "name"); !ok) {
      failure.set(path + ".name", ok.error().message());
    } else if (!names.insert(prompts[i].name).second) {
      failure.set(path + ".name", "is used twice");
    }
    check_messages(prompts[i].messages, path + ".messages", failure);
  }
}

Json json_of(const PinnedPrompt& prompt) {
  Json::Array messages;
  for (const PinnedMessage& message : prompt.messages) {
    messages.emplace_back(Json::Object{{"role", message.role}, {"content", message.content}});
  }
  return Json::Object{{"name", prompt.name}, {"messages", std::move(messages)}};
}

}  // namespace

Result<std::vector<PinnedPrompt>> parse_pinned_prompts(std::string_view json) {
  auto document =
      Json::parse(json, JsonLimits{.bytes = PinnedPromptLimits::kBytes, .depth = 6, .values = 512});
  if (!document) {
    return Error{Error::Code::kManifestInvalid,
                 std::string{kPinnedPromptsFile}.append(": ").append(document.error().message())};
  }
  Failure failure{Error::Code::kManifestInvalid, kPinnedPromptsFile};
  ObjectReader reader{&*document, "", failure};
  reader.integer("format", 1, 1);
  std::vector<PinnedPrompt> prompts;
  const std::vector<Json>& list = reader.array("prompts", PinnedPromptLimits::kPrompts);
  reader.finish();
  for (std::size_t i = 0; i < list.size() && !failure.failed(); ++i) {
    const std::string path = pinned_path("prompts", i);
    ObjectReader one{&list[i], path, failure};
    PinnedPrompt prompt;
    prompt.name = one.text("name", kPromptNameLength);
    prompt.messages = read_messages(
        one.array("messages", PinnedPromptLimits::kMessages), path + ".messages", failure);
    one.finish();
    prompts.push_back(std::move(prompt));
  }
  if (!failure.failed()) {
    check_prompts(prompts, failure);
  }
  if (failure.failed()) {
    return failure.error();
  }
  return prompts;
}

Result<std::string> serialise_pinned_prompts(const std::vector<PinnedPrompt>& prompts) {
  Failure failure{Error::Code::kManifestInvalid, kPinnedPromptsFile};
  check_prompts(prompts, failure);
  if (failure.failed()) {
    return failure.error();
  }
  Json::Array list;
  for (const PinnedPrompt& prompt : prompts) {
    list.push_back(json_of(prompt));
  }
  std::string text = Json{Json::Object{{"format", 1}, {"prompts", std::move(list)}}}.dump();
  if (text.size() > PinnedPromptLimits::kBytes) {
    return Error{Error::Code::kManifestInvalid,
                 "the pinned prompts take " + std::to_string(text.size()) +
                     " bytes together, at most 65536 fit"};
  }
  return text;
}

Result<PinnedPrompt> read_pinned_prompt(std::string_view name, std::string_view text) {
  PinnedPrompt prompt;
  prompt.name = name;
  const bool is_list = text.find_first_not_of(" \t\r\n") != std::string_view::npos &&
                       text[text.find_first_not_of(" \t\r\n")] == '[';
  Failure failure{Error::Code::kInvalidArgument, name};
  if (!is_list) {
    prompt.messages.push_back({"system", std::string{text}});
  } else {
    auto list = Json::parse(text, JsonLimits{.bytes = PinnedPromptLimits::kBytes, .depth = 3});
    if (!list) {
      return list.error().with_context(name);
    }
    prompt.messages = read_messages(*list->array(), "messages", failure);
  }
  if (!failure.failed()) {
    check_prompts({prompt}, failure);
  }
  if (failure.failed()) {
    return failure.error();
  }
  return prompt;
}

const ManifestFile* pinned_prompts_of(const Manifest& manifest) {
  const auto named = manifest.annotations.find(kPinnedPromptsKey);
  if (named == manifest.annotations.end()) {
    return nullptr;
  }
  const auto file =
      std::find_if(manifest.shared.begin(), manifest.shared.end(), [&](const ManifestFile& one) {
        return one.role == FileRole::kConfig && one.name == named->second;
      });
  return file == manifest.shared.end() ? nullptr : &*file;
}

}  // namespace skerry::registry
