#include "text_reactor.hpp"

#include <utility>

#include <boost/asio/post.hpp>
#include <grpcpp/server_context.h>

#include "status.hpp"

namespace skerry::agent {
namespace inference_pb = skerry::inference::v1;
namespace {

std::uint64_t microseconds(std::chrono::nanoseconds time) {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(time).count());
}

inference_pb::FinishReason reason_of(runtime::FinishReason reason) {
  switch (reason) {
    case runtime::FinishReason::kStop:
      return inference_pb::FINISH_REASON_STOP;
    case runtime::FinishReason::kLength:
      return inference_pb::FINISH_REASON_LENGTH;
    case runtime::FinishReason::kCancelled:
      return inference_pb::FINISH_REASON_CANCELLED;
  }
  return inference_pb::FINISH_REASON_UNSPECIFIED;
}

void put_choice(runtime::TokenLogProb::Choice choice, inference_pb::TokenChoice& out) {
  out.set_token(choice.token);
  out.set_piece(std::move(choice.piece));
  out.set_logprob(choice.log_prob);
}

void add_delta(runtime::TextDelta delta, inference_pb::TextDelta& out) {
  out.mutable_text()->append(delta.text);
  out.set_tokens(out.tokens() + static_cast<std::uint32_t>(delta.tokens.size()));
  for (runtime::TokenLogProb& one : delta.log_probs) {
    inference_pb::TokenLogProb& put = *out.add_logprobs();
    put_choice(std::move(one.chosen), *put.mutable_chosen());
    for (runtime::TokenLogProb::Choice& choice : one.top) {
      put_choice(std::move(choice), *put.add_top());
    }
  }
}

}  // namespace

std::shared_ptr<TextReactor> TextReactor::make(Core& core, grpc::CallbackServerContext* context) {
  auto reactor = std::shared_ptr<TextReactor>(new TextReactor(core, context));
  reactor->self_ = reactor;
  return reactor;
}

void TextReactor::OnWriteDone(bool ok) {
  boost::asio::post(core_.control, [self = shared_from_this(), ok] {
    self->busy_ = false;
    if (!ok) {
      self->abandon();
    }
    self->write_next();
  });
}

void TextReactor::OnCancel() {
  boost::asio::post(core_.control, [self = shared_from_this()] { self->abandon(); });
}

void TextReactor::OnDone() {
  boost::asio::post(core_.control, [self = std::move(self_)] {});
}

void TextReactor::abandon() {
  abandoned_ = true;
  queue_.clear();
  handle_.cancel();
}

void TextReactor::give_up(const char* why) {
  core_.log.warning("grpc.slow_reader", {{"reason", why}});
  abandon();
  context_->TryCancel();
}

void TextReactor::watch_reader() {
  const std::chrono::milliseconds timeout = core_.settings->listen().write_timeout;
  const auto since = busy_ ? write_began_ : std::chrono::steady_clock::now();
  watch_.expires_at(since + timeout);
  watch_.async_wait([self = shared_from_this(), timeout](const boost::system::error_code& ec) {
    if (ec || self->finished_ || self->abandoned_) {
      return;
    }
    if (self->busy_ && std::chrono::steady_clock::now() - self->write_began_ >= timeout) {
      self->give_up("the client took nothing for listen.write_timeout");
      return;
    }
    self->watch_reader();
  });
}

void TextReactor::submitted(runtime::RequestHandle handle) {
  handle_ = std::move(handle);
  if (abandoned_) {
    handle_.cancel();
  }
}

void TextReactor::started(const ServedModel& model,
                          const runtime::ModelInfo& info,
                          const std::string& request_id,
                          const runtime::Started& facts) {
  Event event;
  inference_pb::Started& started = *event.mutable_started();
  started.set_request_id(request_id);
  started.set_model(model.name());
  started.set_version(model.version());
  started.set_variant(model.variant.name);
  started.set_model_digest(model.weights.to_string());
  started.set_runtime(info.plugin + " " + info.engine_version);
  started.set_prompt_tokens(facts.prompt_tokens);
  started.set_cached_tokens(facts.cached_tokens);
  started.set_queue_us(microseconds(facts.queue_wait));
  started_ = true;
  push(std::move(event));
}

void TextReactor::delta(runtime::TextDelta delta) {
  if (!queue_.empty() && queue_.back().has_delta()) {
    inference_pb::TextDelta& last = *queue_.back().mutable_delta();
    add_delta(std::move(delta), last);
    if (last.text().size() > kMostUnreadText || last.logprobs_size() > kMostUnreadLogProbs) {
      give_up("1 MiB of the answer, or 4096 of its log-probabilities, were not read");
    }
    return;
  }
  Event event;
  add_delta(std::move(delta), *event.mutable_delta());
  push(std::move(event));
}

void TextReactor::part(AnswerPart part) {
  Event* const last = queue_.empty() ? nullptr : &queue_.back();
  Event event;
  std::string* joined = nullptr;  // what the event that waits already has of it
  switch (part.kind) {
    case AnswerPart::Kind::kText: {
      runtime::TextDelta text;
      text.text = std::move(part.text);
      delta(std::move(text));
      return;
    }
    case AnswerPart::Kind::kReasoning:
      if (last != nullptr && last->has_reasoning()) {
        joined = last->mutable_reasoning()->mutable_text();
        break;
      }
      event.mutable_reasoning()->set_text(std::move(part.text));
      break;
    case AnswerPart::Kind::kCall:
      called_ = true;
      event.mutable_tool_call()->set_index(static_cast<std::uint32_t>(part.call));
      event.mutable_tool_call()->set_id(std::move(part.id));
      event.mutable_tool_call()->set_name(std::move(part.name));
      break;
    case AnswerPart::Kind::kArguments:
      if (last != nullptr && last->has_tool_call() && last->tool_call().index() == part.call) {
        joined = last->mutable_tool_call()->mutable_arguments();
        break;
      }
      event.mutable_tool_call()->set_index(static_cast<std::uint32_t>(part.call));
      event.mutable_tool_call()->set_arguments(std::move(part.text));
      break;
  }
  if (joined == nullptr) {
    push(std::move(event));
    return;
  }
  joined->append(part.text);
  if (joined->size() > kMostUnreadText) {
    give_up("1 MiB of the answer was not read");
  }
}

void TextReactor::done(const runtime::Done& done, std::chrono::nanoseconds first_token) {
  Event event;
  inference_pb::Done& out = *event.mutable_done();
  const bool called = called_ && done.reason == runtime::FinishReason::kStop;
  out.set_reason(called ? inference_pb::FINISH_REASON_TOOL_CALLS : reason_of(done.reason));
  out.set_stop(done.stop_match);
  out.mutable_usage()->set_prompt_tokens(done.usage.prompt_tokens);
  out.mutable_usage()->set_completion_tokens(done.usage.completion_tokens);
  out.mutable_usage()->set_cached_tokens(done.usage.cached_tokens);
  out.mutable_timing()->set_queue_us(microseconds(done.timing.queue));
  out.mutable_timing()->set_prefill_us(microseconds(done.timing.prefill));
  out.mutable_timing()->set_decode_us(microseconds(done.timing.decode));
  out.mutable_timing()->set_first_token_us(microseconds(first_token));
  out.mutable_timing()->set_total_us(microseconds(done.timing.total));
  push(std::move(event));
  finish(grpc::Status::OK);
}

void TextReactor::failed(const Error& error, bool retryable) {
  // Before the first event the call itself fails; after it the stream carries the failure.
  if (!started_) {
    finish(to_status(error));
    return;
  }
  Event event;
  inference_pb::Failure& failure = *event.mutable_failure();
  failure.set_code(std::string{to_string(error.code())});
  failure.set_message(error.message());
  failure.set_retryable(retryable);
  push(std::move(event));
  finish(grpc::Status::OK);
}

void TextReactor::push(Event event) {
  if (abandoned_) {
    return;
  }
  queue_.push_back(std::move(event));
  write_next();
}

void TextReactor::write_next() {
  if (busy_ || finished_) {
    return;
  }
  if (!queue_.empty()) {
    writing_ = std::move(queue_.front());
    queue_.pop_front();
    busy_ = true;
    write_began_ = std::chrono::steady_clock::now();
    StartWrite(&writing_);
    // One timer for all writes of the call: a token costs no more than the look at the clock.
    if (!std::exchange(watched_, true)) {
      watch_reader();
    }
    return;
  }
  if (ending_) {
    finished_ = true;
    watch_.cancel();
    Finish(final_);
  }
}

void TextReactor::finish(const grpc::Status& status) {
  final_ = status;
  ending_ = true;
  write_next();
}

}  // namespace skerry::agent
