#include "kserve_stream.hpp"

#include <utility>

#include <boost/asio/post.hpp>

#include "call.hpp"
#include "kserve_text.hpp"

namespace skerry::agent {
namespace {

Error daemon_stops() {
  return Error{Error::Code::kCancelled, "the daemon is stopping"};
}

}  // namespace

// Ends the call when the task that holds it ends: the daemon stops, or begins no tasks any more.
class KserveStream::Leash {
 public:
  explicit Leash(std::shared_ptr<KserveStream> stream) : stream_(std::move(stream)) {}
  ~Leash() { stream_->abandon(); }
  Leash(const Leash&) = delete;
  Leash& operator=(const Leash&) = delete;
  [[nodiscard]] KserveStream& stream() const { return *stream_; }

 private:
  std::shared_ptr<KserveStream> stream_;
};

// One request under way. Whatever becomes of its task, the request is answered.
class KserveStream::Ending {
 public:
  Ending(std::shared_ptr<KserveStream> stream, ExchangePtr exchange)
      : stream_(std::move(stream)), exchange_(std::move(exchange)) {}
  ~Ending() {
    if (!exchange_->answer.ended()) {
      stream_->fail(exchange_, daemon_stops());
    }
  }
  Ending(const Ending&) = delete;
  Ending& operator=(const Ending&) = delete;
  [[nodiscard]] KserveStream& stream() const { return *stream_; }
  [[nodiscard]] const ExchangePtr& exchange() const { return exchange_; }

 private:
  std::shared_ptr<KserveStream> stream_;
  ExchangePtr exchange_;
};

class KserveStream::TextAnswer final : public TextSink {
 public:
  TextAnswer(std::shared_ptr<KserveStream> stream, ExchangePtr exchange)
      : ending_(std::move(stream), std::move(exchange)) {}

  void started(const ServedModel& model,
               const runtime::ModelInfo&,
               const std::string&,
               const runtime::Started&) override {
    exchange().answer.set_version(model.version());
  }
  void delta(runtime::TextDelta delta) override {
    ending_.stream().add_text(ending_.exchange(), delta.text);
  }
  void part(AnswerPart part) override {
    // Prompts are no chats: nothing but text comes.
    if (part.kind == AnswerPart::Kind::kText) {
      ending_.stream().add_text(ending_.exchange(), part.text);
    }
  }
  void done(const runtime::Done&, std::chrono::nanoseconds) override {
    if (!exchange().answer.ended()) {
      exchange().answer.end_text();
      ending_.stream().step();
    }
  }
  void failed(const Error& error, bool) override {
    ending_.stream().fail(ending_.exchange(), error);
  }
  [[nodiscard]] bool abandoned() const override { return exchange().watch->abandoned(); }
  void submitted(runtime::RequestHandle handle) override {
    exchange().watch->running(std::move(handle));
  }

 private:
  [[nodiscard]] Exchange& exchange() const { return *ending_.exchange(); }

  Ending ending_;
};

std::shared_ptr<KserveStream> KserveStream::make(Core& core,
                                                 KserveCalls& calls,
                                                 grpc::CallbackServerContext* context) {
  auto stream = std::shared_ptr<KserveStream>(new KserveStream(core, calls, context));
  stream->self_ = stream;
  return stream;
}

void KserveStream::OnReadDone(bool ok) {
  boost::asio::post(core_.control, [self = shared_from_this(), ok] { self->took(ok); });
}

void KserveStream::OnWriteDone(bool ok) {
  boost::asio::post(core_.control, [self = shared_from_this(), ok] {
    self->busy_ = false;
    if (!ok) {
      self->abandon();
    }
    self->step();
  });
}

void KserveStream::OnCancel() {
  boost::asio::post(core_.control, [self = shared_from_this()] { self->abandon(); });
}

void KserveStream::OnDone() {
  boost::asio::post(core_.control, [self = std::move(self_)] {});
}

void KserveStream::begin(Caller caller) {
  caller_ = std::move(caller);
  core_.tasks.spawn("oip.stream", keep(std::make_shared<Leash>(shared_from_this())));
  step();
}

Task<void> KserveStream::keep(std::shared_ptr<Leash> leash) {
  while (!leash->stream().finished_) {
    co_await leash->stream().changed_.wait();
  }
}

CallOptions KserveStream::options() const {
  CallOptions call;
  call.timeout = time_left(*context_);
  return call;
}

void KserveStream::took(bool ok) {
  reading_ = false;
  if (!ok) {
    closed_ = true;
  } else if (!abandoned_) {
    auto exchange = std::make_shared<Exchange>(std::move(incoming_));
    incoming_.Clear();
    held_ += exchange->bytes;
    exchanges_.push_back(exchange);
    start(exchange);
  }
  step();
}

void KserveStream::read_next() {
  const std::uint64_t most = core_.settings->listen().max_message.bytes;
  if (reading_ || closed_ || abandoned_ || finished_ || exchanges_.size() >= kMostInFlight ||
      held_ >= most) {
    return;
  }
  reading_ = true;
  StartRead(&incoming_);
}

void KserveStream::start(const ExchangePtr& exchange) {
  if (calls_.asks_for_text(exchange->request)) {
    start_text(exchange);
    return;
  }
  auto ending = std::make_shared<Ending>(shared_from_this(), exchange);
  core_.tasks.spawn("oip.stream_infer", infer(std::move(ending)));
}

Task<void> KserveStream::infer(std::shared_ptr<Ending> ending) {
  KserveStream& stream = ending->stream();
  Exchange& exchange = *ending->exchange();
  CallOptions call;
  if (!stream.abandoned_) {
    call = stream.options();
  }
  call.watch = exchange.watch;
  Caller caller = stream.caller_;
  ::inference::ModelInferResponse response;
  Result<void> done = co_await stream.calls_.infer(
      std::move(caller), std::move(call), &exchange.request, &response);
  if (!done) {
    stream.fail(ending->exchange(), done.error());
    co_return;
  }
  exchange.answer.end(std::move(response));
  stream.step();
}

void KserveStream::start_text(const ExchangePtr& exchange) {
  const ::inference::ModelInferRequest& request = exchange->request;
  Result<TextAsk> ask = text_ask(request);
  if (!ask) {
    fail(exchange, ask.error());
    return;
  }
  exchange->answer.tell_text(ask->pieces, ask->empty_final);
  ask->job.call = options();
  ask->job.call.reference = oip_reference(request.model_name(), request.model_version());
  auto sink = std::make_shared<TextAnswer>(shared_from_this(), exchange);
  core_.tasks.spawn("oip.stream_text",
                    calls_.inference().generate(caller_, std::move(ask->job), std::move(sink)));
}

void KserveStream::add_text(const ExchangePtr& exchange, const std::string& text) {
  if (abandoned_ || exchange->answer.ended()) {
    return;
  }
  exchange->answer.add_text(text);
  if (exchange->answer.unread() > kMostUnreadText) {
    exchange->watch->abandon();
    fail(exchange,
         Error{Error::Code::kResourceExhausted, "1 MiB of the answer waits for its reader"});
    return;
  }
  step();
}

void KserveStream::fail(const ExchangePtr& exchange, const Error& error) {
  if (!exchange->answer.ended()) {
    exchange->answer.fail(error);
    step();
  }
}

bool KserveStream::write_next() {
  while (!exchanges_.empty()) {
    const ExchangePtr front = exchanges_.front();
    std::optional<StreamAnswer::Response> next = front->answer.next();
    if (front->answer.told()) {
      held_ -= front->bytes;
      exchanges_.pop_front();
    }
    if (!next) {
      return false;
    }
    const std::uint64_t most = core_.settings->listen().max_message.bytes;
    if (next->ByteSizeLong() > most) {
      const Error large(
          Error::Code::kTooLarge,
          "the answer is larger than listen.max_message (" + std::to_string(most) + " bytes)");
      next = front->answer.failure(large);
    }
    writing_ = *std::move(next);
    busy_ = true;
    write_began_ = std::chrono::steady_clock::now();
    StartWrite(&writing_);
    if (!std::exchange(watched_, true)) {
      watch_reader();
    }
    return true;
  }
  return false;
}

void KserveStream::step() {
  if (finished_) {
    return;
  }
  if (!busy_ && !abandoned_) {
    write_next();
  }
  read_next();
  const bool over = abandoned_ || (closed_ && exchanges_.empty());
  if (over && !busy_ && !reading_) {
    finished_ = true;
    watch_.cancel();
    changed_.notify();
    Finish(abandoned_ ? grpc::Status{grpc::StatusCode::CANCELLED, "the stream was cancelled"}
                      : grpc::Status::OK);
  }
}

void KserveStream::abandon() {
  if (abandoned_ || finished_) {
    return;
  }
  abandoned_ = true;
  for (const ExchangePtr& exchange : std::exchange(exchanges_, {})) {
    exchange->watch->abandon();
  }
  held_ = 0;
  // What gRPC still waits for ends with it.
  context_->TryCancel();
  step();
}

void KserveStream::give_up(const char* why) {
  core_.log.warning("grpc.slow_reader", {{"reason", why}});
  abandon();
}

void KserveStream::watch_reader() {
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

}  // namespace skerry::agent
