#pragma once

// Reads what an upstream sends: server-sent events (WHATWG HTML, 9.2.6), the chunks of chat and
// text completions in them, lists of embeddings and models, and the page of vLLM's metrics. Bytes
// of a stranger: everything has a limit, and fuzz/upstream_answer throws bytes at it.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/agent/upstream_quirks.hpp"
#include "skerry/common/json.hpp"
#include "skerry/common/result.hpp"
#include "skerry/runtime/request.hpp"

namespace skerry::agent::upstream {

struct AnswerLimits {
  // Of one event, and of one line of it.
  static constexpr std::size_t kEventBytes = 1U << 20U;
  // JSON values in one event, in a list of models, and in the embeddings of all texts: memory.
  static constexpr std::size_t kEventValues = 1U << 16U;
  static constexpr std::size_t kListValues = 1U << 18U;
  static constexpr std::size_t kEmbeddingValues = 5U << 20U;
  // Of a whole answer on the wire.
  static constexpr std::size_t kAnswerBytes = 64U << 20U;
  // Of an error's body; what comes after it is not read.
  static constexpr std::size_t kErrorBytes = 64U << 10U;
  // Of a list of models, and of a page of metrics.
  static constexpr std::size_t kListBytes = 4U << 20U;
  static constexpr std::size_t kModels = 4096;
  // Of one answer: calls of tools, and the bytes of all their arguments.
  static constexpr std::size_t kCalls = 128;
  static constexpr std::size_t kArgumentBytes = 1U << 20U;
};

struct SseEvent {
  std::string name;  // empty: "message"
  std::string data;
};

// Cuts a byte stream into events. Comments (keep-alives) are skipped.
class SseReader {
 public:
  // Appends the events that are whole now. kTooLarge beyond AnswerLimits::kEventBytes.
  Result<void> feed(std::string_view bytes, std::vector<SseEvent>& out);
  // At the end of the stream: an event that only lacks its empty line counts.
  void finish(std::vector<SseEvent>& out);

 private:
  void take_line(std::string_view line, std::vector<SseEvent>& out);
  void dispatch(std::vector<SseEvent>& out);

  std::string line_;
  std::string data_;
  std::string name_;
  bool has_data_ = false;
  bool after_cr_ = false;
  bool started_ = false;
};

// Whose fault a failure is decides what is done next.
enum class Blame : std::uint8_t {
  kRequest,   // this request would fail anywhere
  kBusy,      // the server has no room now
  kServer,    // the server failed at it
  kMissing,   // the server has no such model
  kSettings,  // our key or address is wrong
  kLost,      // the connection
};

std::string_view to_string(Blame blame) noexcept;

struct Fault {
  // For who asked: it may quote the server, and the server the prompt.
  Error error{Error::Code::kUnavailable, ""};
  Blame blame = Blame::kServer;
  // The same in our own words alone: for logs and for the state of the server.
  std::string brief{};
};

// What an HTTP status other than 200, and the body with it, means.
Fault fault_of(int status, std::string_view body);

// Calls of tools as servers stream them: the name first and the arguments in pieces (OpenAI, vLLM),
// or each whole (Ollama, mlx_lm); numbered by an index, told apart by ids, or neither. Tells them
// one after the other.
class CallPieces {
 public:
  // What comes after `most` calls is left out; 0: none were offered.
  explicit CallPieces(std::size_t most) : most_(most) {}

  // `calls`: the member tool_calls of a delta. kParse says what cannot be a call.
  Result<void> take(const Json& calls, std::vector<runtime::ChatPart>& out);
  // The answer ended. A call that was cut before its name is left out.
  Result<void> finish(bool cut, std::vector<runtime::ChatPart>& out);

 private:
  struct Entry;
  Result<void> take_one(const Entry& entry, std::vector<runtime::ChatPart>& out);
  // Whether another call begins with it.
  [[nodiscard]] bool begins(const Entry& entry) const;
  Result<void> close(bool cut, std::vector<runtime::ChatPart>& out);
  [[nodiscard]] bool told() const { return begun_ > 0 && begun_ <= most_; }

  std::size_t most_;
  std::size_t begun_ = 0;
  std::size_t bytes_ = 0;  // of all arguments
  bool ended_ = false;
  // Of the call that is open.
  bool open_ = false;
  bool any_arguments_ = false;
  std::optional<std::int64_t> index_;
  std::string id_;
  std::string name_;
  std::string held_;  // arguments that came before the name
  std::set<std::int64_t> closed_;
};

// The chunks of one streamed answer.
class TextAnswer {
 public:
  // What `take` found in one event, in the order in which it is told.
  struct Piece {
    // Nothing to pass on: a role, a usage.
    bool empty = true;
    std::string reasoning{};
    runtime::TextDelta delta{};
    std::vector<runtime::ChatPart> calls{};
    // About so many tokens were made for it.
    std::uint32_t tokens = 0;
  };

  // `calls`: how many calls of tools may be told.
  explicit TextAnswer(bool log_probs, std::size_t calls = 0)
      : log_probs_(log_probs), calls_(calls) {}

  // kParse if it is no chunk; a Fault if the server says that it failed.
  Result<Piece> take(const SseEvent& event);
  // The fault that made `take` fail.
  [[nodiscard]] const Fault& fault() const { return fault_; }

  // "[DONE]" came: nothing more is to be read.
  [[nodiscard]] bool complete() const { return complete_; }

  // After the last event: how it ended. A Fault (kLost) if it ended in the middle, or if the server
  // withheld the rest.
  Result<runtime::Done> end();

 private:
  Result<Piece> fail(Fault fault);
  // Text, thoughts and calls of a chunk's choice.
  Result<void> read_choice(const Json& choice, Piece& piece);

  bool log_probs_;
  CallPieces calls_;
  bool complete_ = false;
  std::uint32_t pieces_ = 0;
  std::optional<std::string> finish_;
  std::string stop_match_;
  runtime::Usage usage_;
  Fault fault_;
};

struct EmbedAnswer {
  runtime::Embeddings embeddings;
  runtime::Usage usage;
};

// One vector of equal length for each of `texts`, scaled to length 1; kParse otherwise.
Result<EmbedAnswer> read_embeddings(std::string_view json, std::size_t texts);

// The ids of GET models; kParse if it is no such list.
Result<std::set<std::string>> read_models(std::string_view json);
// Whether a list has the model, by the rules of the server.
bool offers(const Quirks& quirks, const std::set<std::string>& models, const std::string& name);

// Requests that vLLM runs and keeps waiting, all models together; none if the page does not say.
std::optional<double> read_load(std::string_view metrics_page);

}  // namespace skerry::agent::upstream
