#pragma once

// A step engine for tests of the scheduler: token n's answer is n + 1, the end is token 0. Records
// every batch.

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "skerry/runtime/step_engine.hpp"

namespace skerry::runtime::test {

class FakeStepEngine : public StepEngine {
 public:
  static constexpr std::int32_t kVocabulary = 128;

  DecodeOutcome decode(std::span<const Row> rows) override {
    batches.emplace_back(rows.begin(), rows.end());
    if (next_outcome.status != DecodeStatus::kOk) {
      return std::exchange(next_outcome, {});
    }
    for (const Row& row : rows) {
      if (poisoned.contains(row.token)) {
        return {DecodeStatus::kFailed, "poisoned token", false};
      }
    }
    logits_.assign(rows.size(), {});
    embeddings_.assign(rows.size(), {});
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const Row& row = rows[i];
      std::vector<std::int32_t>& tokens = sequences[row.sequence];
      if (static_cast<std::size_t>(row.position) != tokens.size()) {
        return {DecodeStatus::kDead, "positions are not consecutive", false};
      }
      tokens.push_back(row.token);
      if (row.want == Want::kLogits) {
        logits_[i].assign(kVocabulary, 0.0F);
        logits_[i][static_cast<std::size_t>((row.token + 1) % kVocabulary)] = 10.0F;
      } else if (row.want == Want::kEmbedding) {
        embeddings_[i] = {static_cast<float>(row.token), 1.0F};
        if (relevance) {
          embeddings_[i] = {*relevance};
        }
      }
    }
    return {};
  }
  std::span<const float> logits(std::size_t index) override { return logits_[index]; }
  std::span<const float> embedding(std::size_t index) override { return embeddings_[index]; }
  void remove_sequence(std::uint32_t sequence) override { sequences.erase(sequence); }
  Result<std::vector<std::int32_t>> tokenize(std::string_view text, bool, bool) override {
    return std::vector<std::int32_t>{text.begin(), text.end()};
  }
  Result<std::vector<std::int32_t>> pair(std::string_view query,
                                         std::string_view document) override {
    std::vector<std::int32_t> tokens{query.begin(), query.end()};
    tokens.push_back('|');
    tokens.insert(tokens.end(), document.begin(), document.end());
    return tokens;
  }
  Result<std::string> piece(std::int32_t token) override {
    return std::string(1, static_cast<char>(token));
  }
  bool is_end(std::int32_t token) override { return token == end_token; }
  Result<std::string> apply_template(std::span<const ChatMessage> messages) override {
    return messages.back().content;
  }

  std::vector<std::vector<Row>> batches;
  std::map<std::uint32_t, std::vector<std::int32_t>> sequences;
  std::set<std::int32_t> poisoned;
  DecodeOutcome next_outcome;
  std::optional<float> relevance;  // what rows that want an embedding get instead
  std::int32_t end_token = 0;

 private:
  std::vector<std::vector<float>> logits_;
  std::vector<std::vector<float>> embeddings_;
};

}  // namespace skerry::runtime::test
