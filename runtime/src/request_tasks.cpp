// One request as one call.

#include <memory>
#include <optional>
#include <utility>

#include <boost/asio/this_coro.hpp>

#include "skerry/runtime/supervisor.hpp"

#include "signal.hpp"

namespace skerry::runtime {
namespace {

struct Collected {
  explicit Collected(const boost::asio::any_io_executor& executor) : changed(executor) {}
  std::vector<Event> events;
  bool ended = false;
  Signal changed;
};

// Cancels the request when the coroutine that waits for it goes away.
class CancelOnExit {
 public:
  explicit CancelOnExit(RequestHandle handle) : handle_(std::move(handle)) {}
  ~CancelOnExit() { handle_.cancel(); }
  CancelOnExit(const CancelOnExit&) = delete;
  CancelOnExit& operator=(const CancelOnExit&) = delete;

 private:
  RequestHandle handle_;
};

Task<std::vector<Event>> collect(LoadedModel& model, Request request, OnSubmit on_submit) {
  const auto executor = co_await boost::asio::this_coro::executor;
  const auto collected = std::make_shared<Collected>(executor);
  EventSink sink = [collected](Event event) {
    collected->ended = is_last(event);
    collected->events.push_back(std::move(event));
    collected->changed.notify();
  };
  RequestHandle handle = model.submit(std::move(request), std::move(sink));
  if (on_submit) {
    on_submit(handle);
  }
  const CancelOnExit guard(std::move(handle));
  while (!collected->ended) {
    co_await collected->changed.wait();
  }
  co_return std::move(collected->events);
}

// The answer of a request that gives one result; Failure becomes the error.
template <class Answer>
Result<Answer> pick(std::vector<Event> events) {
  std::optional<Answer> answer;
  for (Event& event : events) {
    if (auto* failed = std::get_if<Failure>(&event)) {
      return std::move(failed->error);
    }
    if (auto* found = std::get_if<Answer>(&event)) {
      answer = std::move(*found);
    }
  }
  if (!answer) {
    return Error{Error::Code::kCancelled, "the request was cancelled"};
  }
  return std::move(*answer);
}

}  // namespace

Task<Result<Completion>> generate(LoadedModel& model, GenerateRequest request) {
  std::vector<Event> events = co_await collect(model, std::move(request), OnSubmit());
  Completion completion;
  for (Event& event : events) {
    if (auto* failed = std::get_if<Failure>(&event)) {
      co_return std::move(failed->error);
    }
    if (auto* delta = std::get_if<TextDelta>(&event)) {
      completion.text += delta->text;
      completion.tokens.insert(completion.tokens.end(), delta->tokens.begin(), delta->tokens.end());
    } else if (auto* done = std::get_if<Done>(&event)) {
      completion.done = std::move(*done);
    }
  }
  co_return std::move(completion);
}

Task<Result<Embeddings>> embed(LoadedModel& model, EmbedRequest request, OnSubmit on_submit) {
  std::vector<Event> events = co_await collect(model, std::move(request), std::move(on_submit));
  co_return pick<Embeddings>(std::move(events));
}

Task<Result<Scores>> score(LoadedModel& model, ScoreRequest request, OnSubmit on_submit) {
  std::vector<Event> events = co_await collect(model, std::move(request), std::move(on_submit));
  co_return pick<Scores>(std::move(events));
}

Task<Result<Tokens>> tokenize(LoadedModel& model, TokenizeRequest request, OnSubmit on_submit) {
  std::vector<Event> events = co_await collect(model, std::move(request), std::move(on_submit));
  co_return pick<Tokens>(std::move(events));
}

Task<Result<Tensors>> infer(LoadedModel& model, InferRequest request, OnSubmit on_submit) {
  std::vector<Event> events = co_await collect(model, std::move(request), std::move(on_submit));
  co_return pick<Tensors>(std::move(events));
}

}  // namespace skerry::runtime
