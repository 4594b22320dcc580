#include <utility>

#include "skerry/runtime/text_filter.hpp"

#include "wire.hpp"

namespace skerry::runtime::wire {
namespace {

constexpr int kMostPrompts = 16;
constexpr std::size_t kLongestPromptText = 1024;

}  // namespace

void put_prompts(const std::vector<PinnedPrompt>& prompts, pb::Load& out) {
  for (const PinnedPrompt& prompt : prompts) {
    pb::PinnedPrompt& one = *out.add_prompts();
    one.set_name(to_valid_utf8(prompt.name));
    for (const ChatMessage& message : prompt.messages) {
      pb::Message& put = *one.add_messages();
      put.set_role(to_valid_utf8(message.role));
      put.set_content(to_valid_utf8(message.content));
    }
  }
}

std::vector<PinnedPrompt> parse_prompts(const pb::Load& in) {
  std::vector<PinnedPrompt> prompts;
  for (const pb::PinnedPrompt& one : in.prompts()) {
    PinnedPrompt& prompt = prompts.emplace_back();
    prompt.name = one.name();
    for (const pb::Message& message : one.messages()) {
      prompt.messages.push_back(ChatMessage{message.role(), message.content()});
    }
  }
  return prompts;
}

void put_pins(const std::vector<PinStatus>& pins, pb::PromptStates& out) {
  for (const PinStatus& pin : pins) {
    pb::PromptState& one = *out.add_prompts();
    one.set_name(to_valid_utf8(pin.name));
    one.set_state(static_cast<std::uint32_t>(pin.state));
    one.set_tokens(pin.tokens);
    one.set_problem(to_valid_utf8(pin.problem.substr(0, kLongestPromptText)));
  }
}

Result<std::vector<PinStatus>> parse_pins(const pb::PromptStates& in) {
  if (in.prompts_size() > kMostPrompts) {
    return malformed("list of pinned prompts");
  }
  std::vector<PinStatus> pins;
  for (const pb::PromptState& one : in.prompts()) {
    if (one.state() > static_cast<std::uint32_t>(PinState::kFailed) ||
        one.name().size() > kLongestPromptText || one.problem().size() > 4 * kLongestPromptText) {
      return malformed("pinned prompt");
    }
    PinStatus& pin = pins.emplace_back();
    pin.name = one.name();
    pin.state = static_cast<PinState>(one.state());
    pin.tokens = one.tokens();
    pin.problem = one.problem();
  }
  return pins;
}

}  // namespace skerry::runtime::wire
