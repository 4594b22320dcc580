#pragma once

// The requests that a loaded model answers and the events that come back: the vocabulary shared by
// the local APIs (which make requests), the supervisor (which carries them) and the worker's
// scheduler (which serves them). Plain values.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "skerry/common/clock.hpp"
#include "skerry/common/digest.hpp"
#include "skerry/common/error.hpp"
#include "skerry/common/id.hpp"
#include "skerry/common/result.hpp"

namespace skerry::runtime {

// Strict order: a higher class is served first. Values go over the wire.
enum class PriorityClass : std::uint8_t { kInteractive = 0, kNormal = 1, kBatch = 2 };

std::string_view to_string(PriorityClass priority) noexcept;

// Names a request between one supervisor and its workers.
using RequestKey = std::uint64_t;

// What every internal request carries.
struct RequestMeta {
  // Unique among the running requests of one daemon.
  RequestId id;
  // Who asked, as RBAC named them; the scheduler shares a model fairly between principals.
  std::string principal;
  PriorityClass priority = PriorityClass::kNormal;
  // Absolute boot time (Clock::boot_now); past it the request fails with kDeadlineExceeded.
  std::optional<BootTime> deadline;
  // The model the caller was authorised for. A worker that holds another refuses.
  Digest model;
};

struct SamplingParams {
  float temperature = 1.0F;        // 0: greedy, the token with the largest logit
  std::uint32_t top_k = 0;         // 0: off
  float top_p = 1.0F;              // 1: off
  float min_p = 0.0F;              // 0: off
  float repeat_penalty = 1.0F;     // 1: off
  std::uint32_t repeat_last = 64;  // tokens, prompt included, that repeat_penalty looks back at
  // Taken from the logit of a token that the answer has: once for each time, and once at all. The
  // prompt does not count. -2 to 2; 0: off.
  float frequency_penalty = 0.0F;
  float presence_penalty = 0.0F;
  // Same seed, same text when the request runs alone; batching may change rounding.
  std::optional<std::uint64_t> seed;

  friend bool operator==(const SamplingParams&, const SamplingParams&) = default;
};

// kInvalidArgument names the parameter that is out of range.
Result<void> check_sampling(const SamplingParams& params);

// A call of a tool that an assistant's message made.
struct ToolCall {
  std::string id;
  std::string name;
  std::string arguments;  // a JSON object

  friend bool operator==(const ToolCall&, const ToolCall&) = default;
};

struct ChatMessage {
  std::string role;  // "system", "user", "assistant", "tool"
  std::string content;
  // Of the assistant: what it thought before it answered, and the tools that it called.
  std::string reasoning{};
  std::vector<ToolCall> tool_calls{};
  // Of a tool's result: the call that it answers and the tool's name.
  std::string tool_call_id{};
  std::string name{};
};

// How the tools of a chat may be called, for whoever reads them as they are (ToolSyntax::kServer):
// workers are held to it by a grammar.
struct ToolRules {
  enum class Choice : std::uint8_t { kAuto, kRequired, kNamed };
  Choice choice = Choice::kAuto;
  std::string named{};   // the tool of kNamed
  bool parallel = true;  // more than one call in an answer
  bool strict = false;   // arguments of one of them at least must fit its schema
};

struct Prompt {
  std::string text;
};
struct PromptTokens {
  std::vector<std::int32_t> tokens;
};
// Rendered by the model's own chat template.
struct PromptChat {
  std::vector<ChatMessage> messages;
  // A JSON array of OpenAI's tool objects; empty: none.
  std::string tools{};
  // Whether the assistant's turn begins after the messages.
  bool add_generation_prompt = true;
  // For templates that can switch thinking; none: as the template does by itself.
  std::optional<bool> thinking{};
  // What the assistant's answer begins with, control tokens and all.
  std::string answer_begins{};
  ToolRules rules{};
  // Seconds since the epoch, for templates that tell the date.
  std::int64_t now = 0;
};

struct GenerateRequest {
  RequestMeta meta;
  std::variant<Prompt, PromptTokens, PromptChat> prompt;
  SamplingParams sampling;
  // 0: until the model ends or the context is full.
  std::uint32_t max_tokens = 0;
  // Generation ends before the first of these; they are not part of the answer. At most 16 of at
  // most 256 bytes, none empty.
  std::vector<std::string> stop;
  // GBNF that the answer follows; it ends where the grammar does. Empty: none.
  std::string grammar;
  // OpenAI's `response_format` that asks for the same as the grammar, as JSON text, for whoever
  // takes no grammar; empty: there is none.
  std::string response_format{};
  // The grammar begins with the first of these in the answer, or with one of those that stand at
  // the answer's start; it has to take them. Neither: with the answer. None is empty; at most 16.
  std::vector<std::string> grammar_triggers{};
  std::vector<std::string> grammar_starts{};
  // Tell each token's log-probability, and those of as many most probable tokens, at most 64.
  std::optional<std::uint32_t> log_probs;
};

struct EmbedRequest {
  RequestMeta meta;
  std::vector<std::string> texts;
  // Of a model that ranks: the texts are documents, and each vector is one number from 0 to 1, how
  // relevant the document is to this.
  std::optional<std::string> query{};
};

// Log-probabilities of each given token after those before it.
struct ScoreRequest {
  RequestMeta meta;
  std::variant<Prompt, PromptTokens> prompt;
  // Also the `top` most probable tokens at each position, at most 64: for KL divergence.
  std::uint32_t top = 0;
};

struct TokenizeRequest {
  RequestMeta meta;
  std::variant<Prompt, PromptTokens, PromptChat> input;  // tokens: detokenize
};

// Values of the plugin ABI's SKERRY_TYPE_…; names are those of the Open Inference Protocol.
enum class DataType : std::uint8_t {
  kBool = 1,
  kUint8 = 2,
  kUint16 = 3,
  kUint32 = 4,
  kUint64 = 5,
  kInt8 = 6,
  kInt16 = 7,
  kInt32 = 8,
  kInt64 = 9,
  kFp16 = 10,
  kFp32 = 11,
  kFp64 = 12,
  kBytes = 13,
  kBf16 = 14,
};

// "BOOL", "UINT8", …, "FP32", "BYTES", "BF16".
std::string_view to_string(DataType type) noexcept;
Result<DataType> parse_data_type(std::string_view name);
// Bytes per element; 0 for BYTES.
std::size_t element_size(DataType type) noexcept;

struct Tensor {
  std::string name;
  DataType type = DataType::kFp32;
  std::vector<std::int64_t> shape;
  // Little-endian, row-major; BYTES elements are length-prefixed (uint32).
  std::string data;
};

// kInvalidArgument names the tensor if rank, shape and the number of bytes do not agree.
Result<void> check_tensor(const Tensor& tensor);

struct InferRequest {
  RequestMeta meta;
  std::vector<Tensor> inputs;
  // Empty: all.
  std::vector<std::string> outputs;
};

using Request =
    std::variant<GenerateRequest, EmbedRequest, ScoreRequest, TokenizeRequest, InferRequest>;

const RequestMeta& meta_of(const Request& request);

// Events.

enum class FinishReason : std::uint8_t { kStop = 1, kLength = 2, kCancelled = 3 };

std::string_view to_string(FinishReason reason) noexcept;

struct Usage {
  std::uint32_t prompt_tokens = 0;
  std::uint32_t cached_tokens = 0;
  std::uint32_t completion_tokens = 0;
  // Guesses at the next tokens, the tokens in them, and those of them that came true (ADR 0110).
  std::uint32_t drafts = 0;
  std::uint32_t draft_tokens = 0;
  std::uint32_t accepted_tokens = 0;
};

struct Timing {
  std::chrono::nanoseconds queue{0};
  std::chrono::nanoseconds prefill{0};
  std::chrono::nanoseconds decode{0};
  std::chrono::nanoseconds total{0};
};

struct Started {
  std::uint32_t prompt_tokens = 0;
  std::uint32_t cached_tokens = 0;
  std::chrono::nanoseconds queue_wait{0};
  // A chat's prompt ended where the model is to think: the answer begins with thoughts.
  bool thinking = false;
};

// A token of the answer as the model saw it: natural logarithms, from the logits as they came out,
// before penalties, temperature and grammar. Pieces are bytes and may be parts of a code point.
struct TokenLogProb {
  struct Choice {
    std::int32_t token = 0;
    std::string piece;
    float log_prob = 0;
  };
  Choice chosen;
  std::vector<Choice> top;  // most probable first
};

// Whole code points only.
struct TextDelta {
  std::string text;
  // Tokens sampled since the last delta; text that may become a stop string is held back, so the
  // two need not match one to one.
  std::vector<std::int32_t> tokens;
  // One for each of `tokens` if they were asked for, else none.
  std::vector<TokenLogProb> log_probs;
};

// Of a chat that a server answers which tells them apart from the text (ToolSyntax::kServer):
// thoughts, and calls of tools one after the other, each followed by its arguments in pieces.
struct ChatPart {
  enum class Kind : std::uint8_t { kReasoning, kCall, kArguments };
  Kind kind = Kind::kReasoning;
  std::string text{};    // thoughts, or the next piece of the arguments, which are JSON
  std::size_t call = 0;  // which one, of kCall and kArguments
  std::string id{};      // of kCall; empty: the server has none
  std::string name{};

  friend bool operator==(const ChatPart&, const ChatPart&) = default;
};

struct Embeddings {
  // One vector per text, of Euclidean length 1.
  std::vector<std::vector<float>> vectors;
};

struct TokenScore {
  std::int32_t token = 0;
  float log_prob = 0;  // of the first token: 0, nothing comes before it
  std::vector<std::pair<std::int32_t, float>> top;
};
struct Scores {
  std::vector<TokenScore> tokens;
};

struct Tokens {
  std::vector<std::int32_t> tokens;
  std::string text;
};

struct Tensors {
  std::vector<Tensor> outputs;
};

// Last event of a request that was served (also of one that was cancelled after it started).
struct Done {
  FinishReason reason = FinishReason::kStop;
  Usage usage;
  Timing timing;
  // The stop string that ended the text, if one did.
  std::string stop_match;
  // The servers that were given the request, by configured name and tier, in order; the last one
  // answered ("laptop/local, gpu-box/site"). Empty: a worker of this gateway.
  std::string served_by;
};

// Last event of a request that failed.
struct Failure {
  Error error{Error::Code::kInternal, ""};
  // The same request may succeed later or elsewhere. Never true once a token was answered.
  bool retryable = false;
  // As in Done.
  std::string served_by;
};

// A request gives any number of events and then exactly one Done or Failure.
using Event =
    std::variant<Started, TextDelta, ChatPart, Embeddings, Scores, Tokens, Tensors, Done, Failure>;

inline bool is_last(const Event& event) {
  return std::holds_alternative<Done>(event) || std::holds_alternative<Failure>(event);
}

}  // namespace skerry::runtime
