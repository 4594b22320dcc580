#pragma once

// A step engine with cells that sequences share, as unified KV memory has them: a row takes a cell
// or the batch finds no space, a copy takes none, and a cell is free once nobody holds it. The next
// token follows from every token before it, so that a wrong prefix gives a wrong answer.

#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "skerry/runtime/step_engine.hpp"

namespace skerry::runtime::test {

class CellEngine final : public StepEngine {
 public:
  static constexpr std::int32_t kVocabulary = 96;

  explicit CellEngine(std::size_t capacity) : capacity_(capacity) {}

  DecodeOutcome decode(std::span<const Row> rows) override {
    if (failing > 0 && --failing == 0) {
      return {DecodeStatus::kFailed, "told to fail", false};
    }
    if (cells().size() + rows.size() > capacity_) {
      ++no_space;
      return {DecodeStatus::kNoSpace, "no cells", false};
    }
    if (on_decode) {
      on_decode(rows.size());
    }
    logits_.assign(rows.size(), {});
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const Row& row = rows[i];
      Held& held = sequences[row.sequence];
      if (static_cast<std::size_t>(row.position) != held.size()) {
        return {DecodeStatus::kDead, "positions are not consecutive", false};
      }
      held.push_back(std::make_shared<std::int32_t>(row.token));
      ++computed;
      if (row.want == Want::kLogits) {
        logits_[i].assign(kVocabulary, 0.0F);
        const std::int32_t next = says ? says(tokens_of(held)) : next_token(held);
        logits_[i][static_cast<std::size_t>(next)] = 10.0F;
      }
    }
    return {};
  }
  std::span<const float> logits(std::size_t index) override { return logits_[index]; }
  std::span<const float> embedding(std::size_t) override { return {}; }
  void remove_sequence(std::uint32_t sequence) override { sequences.erase(sequence); }
  [[nodiscard]] bool can_copy() const override { return copies; }
  Result<void> copy_sequence(std::uint32_t from, std::uint32_t to, std::size_t length) override {
    if (refuse_copies || sequences.contains(to) || sequences[from].size() < length) {
      sequences.erase(to);
      return Error{Error::Code::kInternal, "no such copy"};
    }
    sequences[to] = Held(sequences[from].begin(),
                         sequences[from].begin() + static_cast<std::ptrdiff_t>(length));
    return {};
  }
  [[nodiscard]] bool can_trim() const override { return trims; }
  void trim_sequence(std::uint32_t sequence, std::size_t length) override {
    Held& held = sequences[sequence];
    held.resize(std::min(held.size(), length));
    if (held.empty()) {
      sequences.erase(sequence);
    }
  }
  [[nodiscard]] std::string state_format() const override { return saves ? "cells" : ""; }
  Result<std::uint64_t> state_size(std::uint32_t sequence) override {
    return sequences[sequence].size() * sizeof(std::int32_t);
  }
  Result<std::size_t> save_state(std::uint32_t sequence, std::span<std::uint8_t> out) override {
    const Held& held = sequences[sequence];
    if (out.size() < held.size() * sizeof(std::int32_t)) {
      return Error{Error::Code::kResourceExhausted, "no room"};
    }
    for (std::size_t i = 0; i < held.size(); ++i) {
      std::memcpy(out.data() + i * sizeof(std::int32_t), held[i].get(), sizeof(std::int32_t));
    }
    ++saved;
    return held.size() * sizeof(std::int32_t);
  }
  Result<void> restore_state(std::uint32_t sequence, ByteView state, std::size_t length) override {
    if (sequences.contains(sequence)) {
      return Error{Error::Code::kInternal, "the sequence is not empty"};
    }
    if (state.size() != length * sizeof(std::int32_t)) {
      return Error{Error::Code::kInvalidArgument, "no such state"};
    }
    if (cells().size() + length > capacity_) {
      ++no_space;
      return Error{Error::Code::kResourceExhausted, "no cells"};
    }
    Held& held = sequences[sequence];
    for (std::size_t i = 0; i < length; ++i) {
      std::int32_t token = 0;
      std::memcpy(&token, state.data() + i * sizeof token, sizeof token);
      held.push_back(std::make_shared<std::int32_t>(token));
    }
    ++restored;
    return {};
  }
  Result<std::vector<std::int32_t>> tokenize(std::string_view text, bool, bool) override {
    return std::vector<std::int32_t>{text.begin(), text.end()};
  }
  Result<std::string> piece(std::int32_t token) override {
    return std::string(1, static_cast<char>(' ' + token % 90));
  }
  bool is_end(std::int32_t) override { return false; }
  Result<std::string> apply_template(std::span<const ChatMessage> messages) override {
    std::string all;
    for (const ChatMessage& message : messages) {
      all += message.content;
    }
    return whole_chats ? all : messages.back().content;
  }

  // Distinct cells in use.
  [[nodiscard]] std::set<const std::int32_t*> cells() const {
    std::set<const std::int32_t*> all;
    for (const auto& [number, held] : sequences) {
      for (const auto& cell : held) {
        all.insert(cell.get());
      }
    }
    return all;
  }

  using Held = std::vector<std::shared_ptr<std::int32_t>>;
  std::map<std::uint32_t, Held> sequences;
  std::size_t computed = 0;  // rows
  std::size_t no_space = 0;
  int failing = 0;  // the n-th decode from now fails
  bool copies = true;
  bool trims = false;
  bool refuse_copies = false;
  bool saves = true;
  bool whole_chats = false;  // a chat's prompt is all that was said
  int saved = 0;
  int restored = 0;
  // Called with the rows of each batch: tests let time pass.
  std::function<void(std::size_t)> on_decode;
  // The likeliest token after these; empty: one that nobody foresees.
  std::function<std::int32_t(const std::vector<std::int32_t>&)> says;

 private:
  static std::vector<std::int32_t> tokens_of(const Held& held) {
    std::vector<std::int32_t> tokens;
    for (const auto& cell : held) {
      tokens.push_back(*cell);
    }
    return tokens;
  }
  static std::int32_t next_token(const Held& held) {
    std::uint32_t mixed = 17;
    for (const auto& cell : held) {
      mixed = mixed * 31 + static_cast<std::uint32_t>(*cell) + 1;
    }
    return static_cast<std::int32_t>(mixed % kVocabulary);
  }

  std::size_t capacity_;
  std::vector<std::vector<float>> logits_;
};

}  // namespace skerry::runtime::test
