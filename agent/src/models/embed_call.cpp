#include "embed_call.hpp"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "skerry/agent/notifier.hpp"

namespace skerry::agent {
namespace {

using Tokens = std::vector<std::int32_t>;

// What the model adds at either end (begin and end of text) is no difference.
bool same_tokens(const Tokens& written, const Tokens& given) {
  const std::size_t spare = written.size() - std::min(written.size(), given.size());
  if (written.size() < given.size() || spare > 2) {
    return false;
  }
  for (std::size_t skip = 0; skip <= std::min<std::size_t>(spare, 1); ++skip) {
    if (std::equal(given.begin(), given.end(), written.begin() + static_cast<long>(skip))) {
      return true;
    }
  }
  return false;
}

Task<Result<runtime::Tokens>> ask(runtime::LoadedModel& model,
                                  const runtime::RequestMeta& meta,
                                  std::variant<runtime::Prompt, runtime::PromptTokens> input,
                                  runtime::OnSubmit on_submit) {
  runtime::TokenizeRequest request;
  request.meta = meta;
  std::visit([&request](auto& one) { request.input = std::move(one); }, input);
  co_return co_await runtime::tokenize(model, std::move(request), std::move(on_submit));
}

struct EmbedEvents {
  explicit EmbedEvents(const boost::asio::any_io_executor& executor) : changed(executor) {}
  Notifier changed;
  std::optional<runtime::Embeddings> embeddings;
  std::optional<runtime::Done> done;
  std::optional<Error> error;
  std::string served_by;

  void take(runtime::Event event) {
    if (auto* found = std::get_if<runtime::Embeddings>(&event)) {
      embeddings = std::move(*found);
    } else if (auto* end = std::get_if<runtime::Done>(&event)) {
      done = std::move(*end);
      served_by = std::move(done->served_by);
    } else if (auto* failure = std::get_if<runtime::Failure>(&event)) {
      error = std::move(failure->error);
      served_by = std::move(failure->served_by);
    }
    changed.notify();
  }
};

// Cancels the request when the coroutine that waits for it goes away.
class CancelledOnExit {
 public:
  explicit CancelledOnExit(runtime::RequestHandle handle) : handle_(std::move(handle)) {}
  ~CancelledOnExit() { handle_.cancel(); }
  CancelledOnExit(const CancelledOnExit&) = delete;
  CancelledOnExit& operator=(const CancelledOnExit&) = delete;

 private:
  runtime::RequestHandle handle_;
};

}  // namespace

Task<Result<std::vector<std::string>>> embed_texts(
    runtime::LoadedModel& model,
    runtime::RequestMeta meta,
    std::vector<std::variant<std::string, std::vector<std::int32_t>>> inputs,
    runtime::OnSubmit on_submit) {
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (auto* text = std::get_if<std::string>(&inputs[i])) {
      texts.push_back(std::move(*text));
      continue;
    }
    runtime::PromptTokens given;
    given.tokens = std::get<Tokens>(std::move(inputs[i]));
    Result<runtime::Tokens> text = co_await ask(model, meta, given, on_submit);
    if (!text) {
      co_return text.error().with_context("input[" + std::to_string(i) + "]");
    }
    runtime::Prompt again;
    again.text = text->text;
    Result<runtime::Tokens> written = co_await ask(model, meta, std::move(again), on_submit);
    if (!written) {
      co_return written.error().with_context("input[" + std::to_string(i) + "]");
    }
    if (!same_tokens(written->tokens, given.tokens)) {
      co_return Error(Error::Code::kInvalidArgument,
                      "input[" + std::to_string(i) +
                          "]: this model writes their text with other tokens; send the text");
    }
    texts.push_back(std::move(text->text));
  }
  co_return texts;
}

Task<Result<CountedEmbeddings>> embed_counted(boost::asio::any_io_executor executor,
                                              runtime::LoadedModel& model,
                                              runtime::EmbedRequest request,
                                              runtime::OnSubmit on_submit,
                                              std::string& served_by) {
  auto events = std::make_shared<EmbedEvents>(executor);
  runtime::EventSink sink = [events](runtime::Event event) { events->take(std::move(event)); };
  runtime::RequestHandle handle = model.submit(std::move(request), std::move(sink));
  if (on_submit) {
    on_submit(handle);
  }
  const CancelledOnExit guard(std::move(handle));
  while (!events->done && !events->error) {
    co_await events->changed.wait();
  }
  served_by = events->served_by;
  if (events->error) {
    co_return *std::move(events->error);
  }
  if (!events->embeddings) {
    co_return Error(Error::Code::kCancelled, "the request was cancelled");
  }
  CountedEmbeddings counted;
  counted.embeddings = *std::move(events->embeddings);
  counted.usage = events->done->usage;
  co_return counted;
}

}  // namespace skerry::agent
