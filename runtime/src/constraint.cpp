#include "constraint.hpp"

#include <algorithm>

namespace skerry::runtime {

Error no_memory_for_grammar() {
  return Error{
      Error::Code::kResourceExhausted,
      "grammar: there is no memory left to follow it: ask again later, or write it shorter"};
}

Result<std::unique_ptr<Constraint>> Constraint::make(std::string_view grammar,
                                                     std::shared_ptr<const Vocabulary> vocabulary) {
  Result<std::shared_ptr<const Grammar>> parsed = Grammar::parse(grammar);
  if (!parsed) {
    return parsed.error();
  }
  return make(*std::move(parsed), std::move(vocabulary));
}

Result<std::unique_ptr<Constraint>> Constraint::make(std::shared_ptr<const Grammar> grammar,
                                                     std::shared_ptr<const Vocabulary> vocabulary) {
  std::unique_ptr<Constraint> made{new Constraint{std::move(grammar), std::move(vocabulary)}};
  Result<GrammarMatcher::State> begin = made->matcher_.start();
  if (!begin) {
    return begin.error();
  }
  if (*begin == GrammarMatcher::kDead) {
    return Error{Error::Code::kInvalidArgument, "grammar: no text at all fits it"};
  }
  made->state_ = *begin;
  return made;
}

Result<GrammarMatcher::State> Constraint::follow(std::int32_t token) {
  GrammarMatcher::State state = state_;
  for (const char byte : vocabulary_->bytes(token)) {
    Result<GrammarMatcher::State> next = matcher_.advance(state, static_cast<std::uint8_t>(byte));
    if (!next || *next == GrammarMatcher::kDead) {
      return next;
    }
    state = *next;
  }
  return state;
}

Result<bool> Constraint::allows(std::int32_t token) {
  if (!known(token)) {
    return false;
  }
  if (vocabulary_->is_end(token)) {
    return matcher_.accepting(state_);
  }
  if (vocabulary_->bytes(token).empty()) {
    return false;
  }
  Result<GrammarMatcher::State> state = follow(token);
  if (!state) {
    return state.error();
  }
  return *state != GrammarMatcher::kDead;
}

Result<std::span<const std::uint8_t>> Constraint::allowed() {
  const bool may_end = matcher_.accepting(state_);
  allowed_.assign(vocabulary_->size(), 0);
  for (std::size_t i = 0; may_end && i < allowed_.size(); ++i) {
    allowed_[i] = vocabulary_->is_end(static_cast<std::int32_t>(i)) ? 1 : 0;
  }
  path_.assign(vocabulary_->longest() + 1, state_);
  std::size_t alive = 0;  // bytes of the present beginning that the grammar takes
  bool died = false;      // and it does not take the byte after them
  for (const Vocabulary::Entry& entry : vocabulary_->sorted()) {
    if (died && entry.shared > alive) {
      continue;  // begins with what is refused
    }
    alive = std::min<std::size_t>(alive, entry.shared);
    died = false;
    const std::string_view bytes = vocabulary_->bytes(entry.token);
    while (alive < bytes.size() && !died) {
      Result<GrammarMatcher::State> next =
          matcher_.advance(path_[alive], static_cast<std::uint8_t>(bytes[alive]));
      if (!next) {
        return next.error();
      }
      died = *next == GrammarMatcher::kDead;
      if (!died) {
        path_[++alive] = *next;
      }
    }
    allowed_[static_cast<std::size_t>(entry.token)] = died ? 0 : 1;
  }
  return std::span<const std::uint8_t>{allowed_};
}

Result<bool> Constraint::begin_with(std::string_view text) {
  GrammarMatcher::State state = state_;
  for (const char byte : text) {
    Result<GrammarMatcher::State> next = matcher_.advance(state, static_cast<std::uint8_t>(byte));
    if (!next) {
      return next.error();
    }
    if (*next == GrammarMatcher::kDead) {
      return false;
    }
    state = *next;
  }
  state_ = matcher_.refresh(state);
  return true;
}

Result<void> Constraint::accept(std::int32_t token) {
  Result<GrammarMatcher::State> state =
      known(token) ? follow(token) : Result<GrammarMatcher::State>{GrammarMatcher::kDead};
  if (!state) {
    return state.error();
  }
  if (*state == GrammarMatcher::kDead) {
    return Error{Error::Code::kInternal, "a token was answered that the grammar refuses"};
  }
  state_ = matcher_.refresh(*state);
  return {};
}

}  // namespace skerry::runtime
