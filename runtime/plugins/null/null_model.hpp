#pragma once

// The null runtime: answers without a model. It repeats the prompt (or a configured answer) byte by
// byte, echoes tensors, and can be told to misbehave in each way a real engine does. For tests of
// everything above the plugin ABI, and for measuring what Skerry itself costs.
//
// Load options: `answer` (text instead of the prompt), `step_ms` (time of one decode), `load_ms`,
// `ranks` ("1": the model tells which share of a query's words is in a document, and nothing else),
// `drafts` ("1": the host may guess tokens, which changes what a fault at a token does),
// `load_fault`, `fault` with `fault_at` (which generated token, from 0), `commands` ("1": a prompt
// "!<fault>" does the same for one request). Faults: see faults.cpp.

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/runtime/plugin.h"

namespace skerry_null {

inline constexpr std::int32_t kEnd = 256;
inline constexpr std::int32_t kBegin = 257;
inline constexpr std::uint32_t kVocabulary = 258;
inline constexpr std::uint32_t kEmbedding = 8;

struct Sequence {
  std::vector<std::int32_t> tokens;
  // Length of the prompt, once a row wanted logits; 0 before.
  std::size_t prompt = 0;
};

}  // namespace skerry_null

struct skerry_runtime {
  const skerry_host* host = nullptr;
};

struct skerry_model {
  const skerry_host* host = nullptr;
  std::uint8_t digest[32] = {};
  std::uint32_t context_length = 0;
  std::uint32_t max_sequences = 0;
  std::uint32_t max_rows = 0;
  bool has_answer = false;
  std::string answer;
  unsigned step_ms = 0;
  std::string fault;
  std::size_t fault_at = 0;
  bool commands = false;
  bool drafts = false;
  bool ranks = false;
  bool whole_chat = false;  // a chat is all that was said, not the last of it

  std::vector<skerry_null::Sequence> sequences;
  std::vector<std::vector<float>> logits;      // by row; empty: not wanted
  std::vector<std::vector<float>> embeddings;  // likewise
  std::atomic<bool> interrupted{false};

  std::mutex cancel_mutex;
  std::set<std::uint64_t> cancelled;
};

namespace skerry_null {

inline std::string_view view(const skerry_str& text) {
  return text.data == nullptr ? std::string_view{} : std::string_view{text.data, text.size};
}
inline skerry_str str(std::string_view text) {
  return {text.data(), text.size()};
}

// Writes the message and returns the status.
std::uint32_t fail(skerry_error* error, std::uint32_t status, std::string_view message);

// Does the named damage, or returns false if there is no such fault. Most do not return.
bool commit_fault(std::string_view name);
// What the sandbox allows: "open=13 socket=1 …", each the errno, 0 if it was allowed.
std::string probe_sandbox();
// Sleeps; false if the model was interrupted or the host wants to stop.
bool pass_time(skerry_model& model, unsigned milliseconds);

const skerry_step* step_table();
const skerry_infer* infer_table();

}  // namespace skerry_null
