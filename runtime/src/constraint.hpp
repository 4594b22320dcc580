#pragma once

// Holds one answer to a grammar: tells whether a token may come next, or which ones may. The
// sampler draws freely first and is bound only when the grammar refuses what it drew
// (sequence.cpp), which seldom costs a walk through the vocabulary. ADR 0104, also on what that
// means for the distribution.

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "skerry/common/result.hpp"

#include "grammar_matcher.hpp"
#include "vocabulary.hpp"

namespace skerry::runtime {

// What a request is told whose grammar found no memory: the worker and the others go on.
Error no_memory_for_grammar();

class Constraint {
 public:
  // kInvalidArgument: the grammar is wrong, and where.
  static Result<std::unique_ptr<Constraint>> make(std::string_view grammar,
                                                  std::shared_ptr<const Vocabulary> vocabulary);
  // The same of a grammar that others may follow as well.
  static Result<std::unique_ptr<Constraint>> make(std::shared_ptr<const Grammar> grammar,
                                                  std::shared_ptr<const Vocabulary> vocabulary);

  // A token that ends the answer is allowed where the grammar may end; other control tokens never.
  // kInvalidArgument if the grammar is too ambiguous to be followed, here and below.
  Result<bool> allows(std::int32_t token);
  // One value for each token, not 0 if it is allowed; valid until the next call.
  Result<std::span<const std::uint8_t>> allowed();
  // `token` was answered; it must be allowed and not an end.
  Result<void> accept(std::int32_t token);
  // Begins with a text instead of nothing; false if the grammar does not take it, and nothing has
  // changed.
  Result<bool> begin_with(std::string_view text);
  // Nothing can come any more.
  [[nodiscard]] bool complete() const { return matcher_.complete(state_); }
  // What it takes of memory besides its grammar, as GrammarMatcher has it.
  [[nodiscard]] std::size_t own_weight() const { return matcher_.own_weight(); }
  [[nodiscard]] const Grammar& grammar() const { return matcher_.grammar(); }

 private:
  Constraint(std::shared_ptr<const Grammar> grammar, std::shared_ptr<const Vocabulary> vocabulary)
      : matcher_(std::move(grammar)), vocabulary_(std::move(vocabulary)) {}
  Result<GrammarMatcher::State> follow(std::int32_t token);
  [[nodiscard]] bool known(std::int32_t token) const {
    return token >= 0 && static_cast<std::size_t>(token) < vocabulary_->size();
  }

  GrammarMatcher matcher_;
  std::shared_ptr<const Vocabulary> vocabulary_;
  GrammarMatcher::State state_ = 0;
  std::vector<std::uint8_t> allowed_;
  std::vector<GrammarMatcher::State> path_;
};

}  // namespace skerry::runtime
