#pragma once

// A token engine whose batches the host composes: the C++ face of the plugin ABI's `step` style.
// Implemented by PluginModel (plugin_host.hpp) and by fakes in tests; driven by the scheduler.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/common/bytes.hpp"
#include "skerry/common/result.hpp"
#include "skerry/runtime/chat_template.hpp"
#include "skerry/runtime/request.hpp"

namespace skerry::runtime {

enum class Want : std::uint8_t { kNothing = 0, kLogits = 1, kEmbedding = 2 };

struct Row {
  std::uint32_t sequence = 0;
  std::int32_t position = 0;
  std::int32_t token = 0;
  Want want = Want::kNothing;
};

enum class DecodeStatus : std::uint8_t {
  kOk,
  kNoSpace,    // nothing changed; fewer rows may fit
  kCancelled,  // nothing changed
  kFailed,     // nothing changed; these rows cannot be decoded
  kDead,       // the engine cannot be used any more
};

struct DecodeOutcome {
  DecodeStatus status = DecodeStatus::kOk;
  std::string message;
  // kDead by lack of memory, which the requests should be told.
  bool out_of_memory = false;
};

// Not thread-safe, except where a method says so.
class StepEngine {
 public:
  virtual ~StepEngine() = default;
  virtual DecodeOutcome decode(std::span<const Row> rows) = 0;
  // Of row `index` of the last decode; empty if the row wanted none. Valid until the next decode.
  // The embedding of a model that ranks is one number, 0 to 1, of a sequence's last row.
  virtual std::span<const float> logits(std::size_t index) = 0;
  virtual std::span<const float> embedding(std::size_t index) = 0;
  virtual void remove_sequence(std::uint32_t sequence) = 0;
  // Whether sequences can share prefixes; without, neither of the next two is called.
  [[nodiscard]] virtual bool can_copy() const { return false; }
  // Makes `to`, which is empty, hold the first `length` positions of `from` as well.
  virtual Result<void> copy_sequence(std::uint32_t from, std::uint32_t to, std::size_t length);
  // Whether a sequence can forget its last positions and go on as if they had never been there;
  // without, drafting is off. Engines with a state for the whole sequence cannot.
  [[nodiscard]] virtual bool can_trim() const { return false; }
  // Forgets what a sequence holds beyond `length` positions. Called only if `can_copy` or
  // `can_trim`.
  virtual void trim_sequence(std::uint32_t sequence, std::size_t length);
  // What a saved state depends on beside the model; a state goes back only where it is equal.
  // Empty: states cannot be saved, and none of the next three is called.
  [[nodiscard]] virtual std::string state_format() const { return {}; }
  // Bytes that `save_state` needs room for.
  virtual Result<std::uint64_t> state_size(std::uint32_t sequence);
  // Writes what the sequence holds; how many bytes.
  virtual Result<std::size_t> save_state(std::uint32_t sequence, std::span<std::uint8_t> out);
  // Makes a sequence, which is empty, hold `length` positions that were saved. After an error it is
  // empty: kInvalidArgument for bytes that are no such state, kResourceExhausted without cells.
  virtual Result<void> restore_state(std::uint32_t sequence, ByteView state, std::size_t length);
  virtual Result<std::vector<std::int32_t>> tokenize(std::string_view text,
                                                     bool add_special,
                                                     bool parse_special) = 0;
  // A query and a document as a model that ranks reads them together.
  virtual Result<std::vector<std::int32_t>> pair(std::string_view query, std::string_view document);
  // Empty for control tokens.
  virtual Result<std::string> piece(std::int32_t token) = 0;
  // The text of a control token; empty for others.
  virtual Result<std::string> control_piece(std::int32_t token);
  virtual bool is_end(std::int32_t token) = 0;
  // What the model's file says about conversations.
  [[nodiscard]] virtual ChatSource chat_source() const { return {}; }
  // For models whose file has no template: the engine's own way.
  virtual Result<std::string> apply_template(std::span<const ChatMessage> messages) = 0;
};

inline Result<void> StepEngine::copy_sequence(std::uint32_t, std::uint32_t, std::size_t) {
  return Error{Error::Code::kUnimplemented, "this engine cannot copy sequences"};
}

inline Result<std::vector<std::int32_t>> StepEngine::pair(std::string_view, std::string_view) {
  return Error{Error::Code::kUnimplemented, "this engine does not rank documents"};
}

inline Result<std::string> StepEngine::control_piece(std::int32_t) {
  return std::string{};
}

inline void StepEngine::trim_sequence(std::uint32_t, std::size_t) {}

inline Result<std::uint64_t> StepEngine::state_size(std::uint32_t) {
  return Error{Error::Code::kUnimplemented, "this engine cannot save sequences"};
}

inline Result<std::size_t> StepEngine::save_state(std::uint32_t, std::span<std::uint8_t>) {
  return Error{Error::Code::kUnimplemented, "this engine cannot save sequences"};
}

inline Result<void> StepEngine::restore_state(std::uint32_t, ByteView, std::size_t) {
  return Error{Error::Code::kUnimplemented, "this engine cannot restore sequences"};
}

}  // namespace skerry::runtime
