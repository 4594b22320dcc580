// Prompts that the operator pinned: computed in pieces while there is no request, taken from
// requests and from the second tier where these have them, kept, shared by everybody. ADR 0114.

#include <algorithm>
#include <utility>

#include "scheduler_impl.hpp"

namespace skerry::runtime {
namespace {

// Of the model's cells, those that pinned prompts take together at most.
constexpr std::size_t kPinnedShare = 2;

// The conversation goes on with these words of the user: where renderings of two part, what every
// conversation begins with ends.
TokenizeRequest conversation(const PinnedPrompt& prompt, std::int64_t now, const char* words) {
  PromptChat chat;
  chat.messages = prompt.messages;
  chat.messages.push_back(ChatMessage{"user", words});
  chat.now = now;
  TokenizeRequest request;
  request.input = std::move(chat);
  return request;
}

}  // namespace

std::string_view to_string(PinState state) noexcept {
  switch (state) {
    case PinState::kWaiting:
      return "computing";
    case PinState::kReady:
      return "ready";
    case PinState::kFailed:
      return "failed";
  }
  return "unknown";
}

void Scheduler::Impl::set_state(Pin& pin, PinState state, std::string problem) {
  pin.status.state = state;
  pin.status.problem = std::move(problem);
  pin.asked = false;
  pin.tier_until.reset();
  pin.found.reset();
  ++pin_changes;
}

Result<std::vector<std::int32_t>> Scheduler::Impl::pin_tokens(const PinnedPrompt& prompt,
                                                              std::size_t room) {
  if (!caching) {
    return Error{Error::Code::kUnimplemented, "this worker keeps no prefixes"};
  }
  const std::int64_t now =
      std::chrono::duration_cast<std::chrono::seconds>(clock.wall_now().time_since_epoch()).count();
  auto one = answer_tokenize(engine, options, intake, conversation(prompt, now, "a"));
  if (!one) {
    return one.error();
  }
  const auto other = answer_tokenize(engine, options, intake, conversation(prompt, now, "1"));
  if (!other) {
    return other.error();
  }
  std::vector<std::int32_t> tokens = std::move(one->tokens);
  const auto [end, unused] =
      std::mismatch(tokens.begin(), tokens.end(), other->tokens.begin(), other->tokens.end());
  tokens.erase(end, tokens.end());
  if (tokens.size() >= options.context_length) {
    return Error{Error::Code::kContextTooLong,
                 "it has " + std::to_string(tokens.size()) + " tokens, the context window holds " +
                     std::to_string(options.context_length)};
  }
  tokens.resize(tokens.size() / PrefixChain::kBlock * PrefixChain::kBlock);
  if (tokens.empty()) {
    return Error{Error::Code::kInvalidArgument,
                 "fewer than 32 tokens of it are what every conversation begins with"};
  }
  if (tokens.size() > room) {
    return Error{Error::Code::kResourceExhausted,
                 "the pinned prompts take more than half of the " +
                     std::to_string(options.context_total) + " tokens that the model can hold"};
  }
  return tokens;
}

void Scheduler::Impl::pin(const std::vector<PinnedPrompt>& prompts) {
  auto blocks = std::make_shared<PublicBlocks>(options.model);
  std::size_t room = options.context_total / kPinnedShare;
  pins.clear();
  for (const PinnedPrompt& prompt : prompts) {
    Pin& made = pins.emplace_back();
    made.status.name = prompt.name;
    auto tokens = pin_tokens(prompt, room);
    if (!tokens) {
      set_state(made, PinState::kFailed, tokens.error().message());
      continue;
    }
    room -= tokens->size();
    blocks->add(*tokens);
    made.status.tokens = static_cast<std::uint32_t>(tokens->size());
    made.tokens = *std::move(tokens);
    set_state(made, PinState::kWaiting);
  }
  public_blocks = std::move(blocks);
  quiet_since = clock.boot_now();
  for (Pin& made : pins) {
    made.chain = PrefixChain{options.model, {}, public_blocks};
    made.chain.extend(made.tokens);
  }
}

// What its own slot keeps of it.
std::size_t Scheduler::Impl::pin_holds(std::uint32_t number) const {
  const SlotPool::Kept* kept = pool.pinned(number);
  return kept == nullptr ? 0 : kept->chain.tokens();
}

// All of it is kept, in its own slot or as the beginning of another pinned one.
bool Scheduler::Impl::is_held(const Pin& pin) const {
  return std::any_of(pool.kept().begin(), pool.kept().end(), [&](const auto& kept) {
    return kept.pin != 0 && kept.chain.common(pin.chain) == pin.tokens.size();
  });
}

// Requests may need the cells; then it is computed again when they are gone.
void Scheduler::Impl::notice_lost_pins() {
  for (Pin& pin : pins) {
    if (pin.status.state == PinState::kReady && !is_held(pin)) {
      set_state(pin, PinState::kWaiting);
    }
  }
}

void Scheduler::Impl::keep_pin(std::uint32_t number,
                               std::uint32_t slot,
                               std::size_t tokens,
                               BootTime now) {
  Pin& pin = pin_of(number);
  PrefixChain chain = pin.chain;
  chain.cut(tokens);
  pool.keep(slot, std::move(chain), now, number);
  if (tokens == pin.tokens.size()) {
    set_state(pin, PinState::kReady);
  }
}

// From a request, or from what one left, if that has `least` tokens of it. True: something changed.
bool Scheduler::Impl::adopt_pin(std::uint32_t number, std::size_t least, BootTime now) {
  const Pin& pin = pin_of(number);
  const Source source = source_of(pin.chain, pin.tokens.size(), nullptr);
  if (source.tokens < least) {
    return false;
  }
  const auto slot = pool.take(now, source.slot);
  if (!slot) {
    return false;
  }
  if (*slot == source.slot) {
    pool.give_back(*slot);  // there was no other: it is computed
    return true;
  }
  pool.unpin(number);
  if (!pool.copy(source.slot, *slot, source.tokens)) {
    pool.give_back(*slot);
    caching = false;
    pool.forget_all();
    return true;
  }
  keep_pin(number, *slot, source.tokens, now);
  return true;
}

// While there are requests: what they have computed of it, if no other prefix has to go for it.
void Scheduler::Impl::adopt_pins(BootTime now) {
  notice_lost_pins();
  for (std::uint32_t number = 1; number <= pins.size() && caching; ++number) {
    const Pin& pin = pin_of(number);
    if (pin.status.state == PinState::kWaiting && pool.has_free()) {
      adopt_pin(number, pin.tokens.size(), now);
    }
  }
}

// While there is no request. False: nothing can be done now.
bool Scheduler::Impl::advance_pins(BootTime now) {
  notice_lost_pins();
  // Who asks one thing after the other is not held up in between.
  if (now < quiet_since + options.save_after) {
    return false;
  }
  for (std::uint32_t number = 1; number <= pins.size(); ++number) {
    if (pin_of(number).status.state == PinState::kWaiting && advance_pin(number, now)) {
      return true;
    }
  }
  return false;
}

bool Scheduler::Impl::advance_pin(std::uint32_t number, BootTime now) {
  Pin& pin = pin_of(number);
  if (!caching) {
    set_state(pin, PinState::kFailed, "this engine cannot copy what it holds");
    return true;
  }
  if (is_held(pin)) {
    set_state(pin, PinState::kReady);
    return true;
  }
  const std::size_t have = pin_holds(number);
  if (adopt_pin(number, have + PrefixChain::kBlock, now)) {
    return true;
  }
  if (const auto found = std::exchange(pin.found, std::nullopt)) {
    restore_pin(number, *found, now);
    return true;
  }
  if (have == 0 && pin_waits_for_tier(number, now)) {
    return false;
  }
  compute_pin(number, now);
  return true;
}

bool Scheduler::Impl::pin_waits_for_tier(std::uint32_t number, BootTime now) {
  Pin& pin = pin_of(number);
  if (!pin.asked && !state_format.empty() && pin.tokens.size() >= options.tier_least) {
    pin.asked = true;
    pin.tier_until = now + options.tier_wait;
    options.tier->find(kPinnedKey | number, sought_names(pin.chain.names()));
  }
  if (pin.tier_until && *pin.tier_until <= now) {
    pin.tier_until.reset();
  }
  return pin.tier_until.has_value();
}

void Scheduler::Impl::pin_found(RequestKey key, FoundPrefix prefix) {
  const auto number = static_cast<std::uint32_t>(key & ~kPinnedKey);
  if (number == 0 || number > pins.size() || !pin_of(number).tier_until) {
    return;  // too late
  }
  Pin& pin = pin_of(number);
  pin.tier_until.reset();
  const bool sensible = prefix.common > 0 && prefix.common % PrefixChain::kBlock == 0 &&
                        prefix.common <= prefix.tokens && prefix.common <= pin.tokens.size();
  if (sensible) {
    pin.found = std::move(prefix);
  }
}

void Scheduler::Impl::restore_pin(std::uint32_t number, const FoundPrefix& found, BootTime now) {
  const Pin& pin = pin_of(number);
  const auto slot = has_cells(found.tokens, now) ? pool.take(now) : std::nullopt;
  if (!slot) {
    return;
  }
  const auto restored = pool.restore(*slot, found.bytes, found.tokens, found.common);
  if (!restored) {
    pool.give_back(*slot);
    if (restored.error().code() != Error::Code::kResourceExhausted) {
      options.tier->drop(pin.chain.names()[found.common / PrefixChain::kBlock - 1]);
    }
    return;
  }
  keep_pin(number, *slot, found.common, now);
  if (found.tokens == pin.tokens.size()) {
    pool.settle(*slot);
  }
}

// The next piece: as many rows as whoever asks meanwhile has to wait for.
void Scheduler::Impl::compute_pin(std::uint32_t number, BootTime now) {
  Pin& pin = pin_of(number);
  const std::size_t have = pin_holds(number);
  std::optional<std::uint32_t> slot;
  if (const SlotPool::Kept* part = pool.pinned(number)) {
    slot = part->slot;
    pool.take_over(*slot, have);
  } else {
    slot = pool.take(now);
  }
  if (!slot) {
    set_state(pin, PinState::kFailed, "the engine has no sequence left");
    return;
  }
  const std::size_t tile = std::max<std::size_t>(
      std::min(options.shared_rows, options.max_rows) / PrefixChain::kBlock * PrefixChain::kBlock,
      PrefixChain::kBlock);
  std::vector<Row> rows;
  for (std::size_t i = have; i < std::min(have + tile, pin.tokens.size()); ++i) {
    rows.push_back({*slot, static_cast<std::int32_t>(i), pin.tokens[i], Want::kNothing});
  }
  make_cells(rows.size());
  const DecodeOutcome outcome = engine.decode(rows);
  if (outcome.status == DecodeStatus::kOk) {
    last = {.rows = rows.size(), .generating = 0, .time = clock.boot_now() - now};
    cost.learn(last);
    pool.holds(*slot, have + rows.size());
    keep_pin(number, *slot, have + rows.size(), now);
    return;
  }
  pool.give_back(*slot);
  if (outcome.status == DecodeStatus::kDead) {
    die(outcome);
  } else if (outcome.status != DecodeStatus::kCancelled) {
    set_state(pin, PinState::kFailed, "computing it failed: " + outcome.message);
  }
}

// When the next one can be gone on with; nothing: none waits.
std::optional<BootTime> Scheduler::Impl::pins_rest_until() const {
  std::optional<BootTime> next;
  for (const Pin& pin : pins) {
    if (pin.status.state == PinState::kWaiting) {
      const BootTime due = std::max<BootTime>(quiet_since + options.save_after,
                                              pin.tier_until.value_or(BootTime{0}));
      next = std::min(next.value_or(due), due);
    }
  }
  return next;
}

}  // namespace skerry::runtime
