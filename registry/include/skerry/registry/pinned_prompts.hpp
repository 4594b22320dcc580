#pragma once

// Prompts that an operator pins with a model version: texts that its apps' conversations begin
// with, which every gateway computes before anybody asks and keeps (ADR 0114). A shared file of the
// manifest holds them, named by the annotation `skerry.pinned-prompts`; agents that do not know it
// fetch the file and leave it alone. The command line writes it, the agent reads it
// (docs/formats/manifest.md).

#include <string>
#include <string_view>
#include <vector>

#include "skerry/common/result.hpp"
#include "skerry/registry/manifest.hpp"

namespace skerry::registry {

inline constexpr std::string_view kPinnedPromptsKey = "skerry.pinned-prompts";
inline constexpr std::string_view kPinnedPromptsFile = "pinned-prompts.json";

struct PinnedPromptLimits {
  static constexpr std::size_t kPrompts = 4;
  static constexpr std::size_t kMessages = 32;
  static constexpr std::size_t kBytes = 64U << 10U;  // of the file
};

struct PinnedMessage {
  std::string role;  // "system", "user" or "assistant"
  std::string content;

  friend bool operator==(const PinnedMessage&, const PinnedMessage&) = default;
};

// What conversations begin with. The last message is not the user's: theirs follows.
struct PinnedPrompt {
  std::string name;  // as names of models are; unique
  std::vector<PinnedMessage> messages;

  friend bool operator==(const PinnedPrompt&, const PinnedPrompt&) = default;
};

// kManifestInvalid with the JSON path for what breaks a rule or a limit.
Result<std::vector<PinnedPrompt>> parse_pinned_prompts(std::string_view json);
// Canonical bytes; the same rules.
Result<std::string> serialise_pinned_prompts(const std::vector<PinnedPrompt>& prompts);

// What an operator wrote: a JSON array of messages, or a text, which is one system message.
Result<PinnedPrompt> read_pinned_prompt(std::string_view name, std::string_view text);

// The file that the annotation names; null without one. A parsed manifest has it where it says so.
const ManifestFile* pinned_prompts_of(const Manifest& manifest);

}  // namespace skerry::registry
