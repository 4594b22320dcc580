#pragma once

// The service layer of inference: every front end (gRPC, KServe, OpenAI) is a thin adapter over it.
// One call is: resolve the reference → decide → load if needed → submit → stream → count and
// audit. Runs on the control thread.

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "skerry/agent/access.hpp"
#include "skerry/agent/call_watch.hpp"
#include "skerry/agent/chat_reader.hpp"
#include "skerry/agent/core.hpp"
#include "skerry/agent/metrics.hpp"
#include "skerry/agent/model_host.hpp"
#include "skerry/agent/quota_book.hpp"
#include "skerry/async/task.hpp"
#include "skerry/runtime/request.hpp"
#include "skerry/runtime/supervisor.hpp"

namespace skerry::agent {

// What every request carries besides its content.
struct CallOptions {
  std::string reference;
  // Chosen here if empty; at most 64 characters.
  std::string request_id;
  runtime::PriorityClass priority = runtime::PriorityClass::kNormal;
  // From now; none: runtime.request_timeout.
  std::optional<std::chrono::nanoseconds> timeout;
  // Told by the front end when the client of a call with one answer is gone; null: it cannot tell.
  std::shared_ptr<CallWatch> watch;
};

struct TextJob {
  CallOptions call;
  std::variant<runtime::Prompt, runtime::PromptTokens, runtime::PromptChat> prompt;
  runtime::SamplingParams sampling;
  std::uint32_t max_tokens = 0;
  std::vector<std::string> stop;
  // As in runtime::GenerateRequest.
  std::string grammar;
  std::string response_format{};
  std::optional<std::uint32_t> log_probs;
  // Of a chat.
  ToolUse tools;
};

// A streamed answer of which more than this waits for the client is ended: the client reads too
// slowly, and its memory would be ours.
inline constexpr std::size_t kMostUnreadText = 1U << 20U;
inline constexpr int kMostUnreadLogProbs = 4096;
// Of all choices of an answer that is told in one piece, alternatives counted: about 8 MB of JSON.
inline constexpr std::size_t kMostWholeLogProbs = 1U << 17U;

// Takes the answer of a text job. Calls come on the control thread, in this order: started, any
// number of deltas, then exactly one of done and failed; failed alone if it never started.
class TextSink {
 public:
  virtual ~TextSink() = default;
  virtual void started(const ServedModel& model,
                       const runtime::ModelInfo& info,
                       const std::string& request_id,
                       const runtime::Started& facts) = 0;
  virtual void delta(runtime::TextDelta delta) = 0;
  // Of a chat: thoughts and calls of tools, between the deltas of its text.
  virtual void part(AnswerPart part) = 0;
  virtual void done(const runtime::Done& done, std::chrono::nanoseconds first_token) = 0;
  virtual void failed(const Error& error, bool retryable) = 0;
  // True once the client is gone: the request is cancelled as soon as it is submitted.
  [[nodiscard]] virtual bool abandoned() const = 0;
  // How to cancel it; called before any event of the model.
  virtual void submitted(runtime::RequestHandle handle) = 0;
};

class Inference {
 public:
  Inference(Core& core, Access& access, AuditWriter& audit, Metrics& metrics, ModelHost& host);

  // Told about each request that a slot's model answered, and with what it failed: probation.
  using OnServed = std::function<void(const std::string& slot, const Digest& weights)>;
  void on_served(OnServed callback) { on_served_ = std::move(callback); }

  // Asked, on a disk thread, about a model that is not active here: a better reason than that it is
  // not there, if there is one.
  using WhyAbsent = std::function<std::optional<Error>(const registry::ModelReference&)>;
  void on_absent(WhyAbsent callback) { why_absent_ = std::move(callback); }

  // Returns once the request is under way (or failed); the answer goes to `sink`.
  Task<void> generate(Caller caller, TextJob job, std::shared_ptr<TextSink> sink);

  struct EmbedAnswer {
    runtime::Embeddings embeddings;
    runtime::Usage usage;
    ServedModelPtr model;
  };
  // What is given as the model's own tokens is embedded as their text, which must be written as
  // those tokens again; kInvalidArgument names the input otherwise.
  using EmbedInput = std::variant<std::string, std::vector<std::int32_t>>;
  Task<Result<EmbedAnswer>> embed(Caller caller, CallOptions call, std::vector<EmbedInput> inputs);
  struct RerankAnswer {
    std::vector<float> relevances;  // of each document, 0 to 1
    runtime::Usage usage;
    ServedModelPtr model;
  };
  // How relevant each document is to the query, by a model that ranks; kUnimplemented for others.
  // The verb is `embed`.
  Task<Result<RerankAnswer>> rerank(Caller caller,
                                    CallOptions call,
                                    std::string query,
                                    std::vector<std::string> documents);
  struct ScoreAnswer {
    std::vector<runtime::TokenScore> tokens;
    ServedModelPtr model;
  };
  Task<Result<ScoreAnswer>> score(Caller caller,
                                  CallOptions call,
                                  std::string prompt,
                                  std::string continuation);
  using TokenizeInput = std::variant<runtime::Prompt, runtime::PromptTokens, runtime::PromptChat>;
  Task<Result<runtime::Tokens>> tokenize(Caller caller, CallOptions call, TokenizeInput input);
  struct InferAnswer {
    runtime::Tensors tensors;
    ServedModelPtr model;
    std::chrono::nanoseconds total{0};
  };
  Task<Result<InferAnswer>> infer(Caller caller,
                                  CallOptions call,
                                  std::vector<runtime::Tensor> inputs,
                                  std::vector<std::string> outputs);

  // Cancels a running request of the same principal; false if there is none.
  bool cancel(const Caller& caller, const std::string& request_id);

  // Resolves and authorises without loading: metadata calls. A model that may not be listed is
  // denied, not hidden: its existence is no secret to who knows its name.
  Task<Result<ServedModelPtr>> find(Caller caller,
                                    std::string reference,
                                    security::Verb verb,
                                    std::string action);

  [[nodiscard]] std::size_t running() const { return running_.size(); }
  // What it counts.
  [[nodiscard]] const Metrics& metrics() const { return metrics_; }

 private:
  struct Ticket;
  class TextStream;
  // `action` is what the audit log says. With a query each vector is one number.
  Task<Result<EmbedAnswer>> embed_as(std::string action,
                                     Caller caller,
                                     CallOptions call,
                                     std::vector<EmbedInput> inputs,
                                     std::optional<std::string> query);
  Task<Result<std::shared_ptr<Ticket>>> admit(Caller caller,
                                              CallOptions call,
                                              security::Verb verb,
                                              std::string action);
  Task<void> begin_text(Caller caller, TextJob job, std::shared_ptr<TextSink> sink);
  // Lets Cancel and the front end's watch reach the request that the ticket's call waits for.
  runtime::OnSubmit follow(const std::shared_ptr<Ticket>& ticket);
  void settle(Ticket& ticket, const runtime::Usage& usage, std::string_view finish);
  void settle(Ticket& ticket, const Error& error);
  // An allowed call that was not answered.
  void record_failure(const Ticket& ticket,
                      const ServedModel& model,
                      const std::string& request_id,
                      const Error& error);

  Core& core_;
  Access& access_;
  AuditWriter& audit_;
  Metrics& metrics_;
  ModelHost& host_;
  QuotaBook quotas_;
  OnServed on_served_;
  WhyAbsent why_absent_;
  struct Running {
    std::string principal;
    runtime::RequestHandle handle;
  };
  std::map<std::string, Running> running_;
};

}  // namespace skerry::agent
