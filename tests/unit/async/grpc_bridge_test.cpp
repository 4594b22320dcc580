#include <functional>
#include <thread>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "skerry/async/bidi_stream.hpp"
#include "skerry/async/run_until_first_exit.hpp"
#include "skerry/async/unary_call.hpp"
#include "skerry/fleet/v1/device.grpc.pb.h"

namespace skerry::async {
namespace {

namespace asio = boost::asio;
namespace fleet = skerry::fleet::v1;
using namespace std::chrono_literals;

// Answers metadata calls with the name that was asked for, or never (and tells that the call has
// come); echoes heartbeats until it sees time 0.
class EchoDevice final : public fleet::DeviceService::CallbackService {
 public:
  grpc::ServerUnaryReactor* GetMetadata(grpc::CallbackServerContext* context,
                                        const fleet::GetMetadataRequest* request,
                                        fleet::GetMetadataResponse* response) override {
    if (request->name() != "never") {
      response->set_content(request->name());
      auto* reactor = context->DefaultReactor();
      reactor->Finish(grpc::Status::OK);
      return reactor;
    }
    class Never final : public grpc::ServerUnaryReactor {
      void OnCancel() override { Finish(grpc::Status::CANCELLED); }
      void OnDone() override { delete this; }
    };
    on_never_();
    return new Never;
  }
  void on_never(std::function<void()> told) { on_never_ = std::move(told); }

  grpc::ServerBidiReactor<fleet::DeviceMessage, fleet::ControllerMessage>* Connect(
      grpc::CallbackServerContext*) override {
    class Echo final
        : public grpc::ServerBidiReactor<fleet::DeviceMessage, fleet::ControllerMessage> {
     public:
      Echo() { StartRead(&in_); }
      void OnReadDone(bool ok) override {
        if (!ok) {
          Finish(grpc::Status::OK);
          return;
        }
        if (in_.heartbeat().wall_time_unix_ms() == 0) {
          Finish({grpc::StatusCode::FAILED_PRECONDITION, "time 0"});
          return;
        }
        out_.mutable_heartbeat()->set_wall_time_unix_ms(in_.heartbeat().wall_time_unix_ms());
        StartWrite(&out_);
      }
      void OnWriteDone(bool) override { StartRead(&in_); }
      void OnDone() override { delete this; }

     private:
      fleet::DeviceMessage in_;
      fleet::ControllerMessage out_;
    };
    return new Echo;
  }

 private:
  std::function<void()> on_never_;
};

class GrpcBridge : public ::testing::Test {
 protected:
  GrpcBridge() {
    grpc::ServerBuilder builder;
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    stub_ = fleet::DeviceService::NewStub(server_->InProcessChannel({}));
  }
  ~GrpcBridge() override { server_->Shutdown(std::chrono::system_clock::now()); }

  void run(Task<void> task) {
    asio::io_context context;
    asio::co_spawn(context, std::move(task), [](const std::exception_ptr& error) {
      if (error) {
        std::rethrow_exception(error);
      }
    });
    context.run();
  }

  EchoDevice service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<fleet::DeviceService::Stub> stub_;
};

using Metadata = UnaryResult<fleet::GetMetadataResponse>;

Task<Metadata> get(fleet::DeviceService::Stub& stub, std::string name) {
  auto start = [&stub](auto* context, auto* request, auto* response, auto done) {
    stub.async()->GetMetadata(context, request, response, std::move(done));
  };
  fleet::GetMetadataRequest request;
  request.set_name(std::move(name));
  co_return co_await unary_call<fleet::GetMetadataRequest, fleet::GetMetadataResponse>(
      start, std::move(request), 20s);
}

Task<void> call_once(fleet::DeviceService::Stub& stub,
                     std::string& content,
                     std::thread::id& resumed) {
  const auto answer = co_await get(stub, "1.root.json");
  content = answer.response.content();
  resumed = std::this_thread::get_id();
}

TEST_F(GrpcBridge, UnaryCallResumesOnTheCallersThread) {
  std::string content;
  std::thread::id resumed;
  run(call_once(*stub_, content, resumed));
  EXPECT_EQ(content, "1.root.json");
  EXPECT_EQ(resumed, std::this_thread::get_id());
}

Task<void> call_never(fleet::DeviceService::Stub& stub, bool& returned) {
  const auto answer = co_await get(stub, "never");
  returned = answer.status.ok();
}

// Ends once the call of the other task has reached the server.
Task<void> end_on_arrival(EchoDevice& service) {
  const auto executor = co_await asio::this_coro::executor;
  asio::steady_timer arrived{executor, asio::steady_timer::time_point::max()};
  service.on_never([&arrived, executor] {
    asio::post(executor, [&arrived] { arrived.expires_at(asio::steady_timer::time_point::min()); });
  });
  boost::system::error_code ec;
  auto token = asio::redirect_error(asio::use_awaitable, ec);
  co_await arrived.async_wait(token);
}

TEST_F(GrpcBridge, CancellingTheCoroutineCancelsTheCall) {
  bool returned = false;
  std::vector<Task<void>> tasks;
  tasks.push_back(end_on_arrival(service_));
  tasks.push_back(call_never(*stub_, returned));
  run(run_until_first_exit(std::move(tasks)));
  EXPECT_FALSE(returned);
}

Task<void> talk(fleet::DeviceService::Stub& stub,
                std::vector<std::uint64_t>& echoed,
                grpc::Status& status) {
  const auto executor = co_await asio::this_coro::executor;
  auto stream = BidiStream<fleet::DeviceMessage, fleet::ControllerMessage>::create(executor);
  stub.async()->Connect(&stream->context(), stream->reactor());
  stream->start();
  for (const std::uint64_t time : {3U, 2U, 1U, 0U}) {
    fleet::DeviceMessage message;
    message.mutable_heartbeat()->set_wall_time_unix_ms(time);
    stream->write(std::move(message));
  }
  for (;;) {
    const auto message = co_await stream->read();
    if (!message) {
      break;
    }
    echoed.push_back(message->heartbeat().wall_time_unix_ms());
  }
  status = co_await stream->finish();
}

TEST_F(GrpcBridge, BidiStreamKeepsOrderAndTellsTheFinalStatus) {
  std::vector<std::uint64_t> echoed;
  grpc::Status status;
  run(talk(*stub_, echoed, status));
  EXPECT_EQ(echoed, (std::vector<std::uint64_t>{3, 2, 1}));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(status.error_message(), "time 0");
}

// The peer ends the call with the first message while the executor goes on writing: what it writes
// after the end is dropped. A write could once start on a call that gRPC had already ended, which
// aborted the process in some of the rounds.
Task<void> write_past_the_end(fleet::DeviceService::Stub& stub, grpc::Status& status) {
  const auto executor = co_await asio::this_coro::executor;
  auto stream = BidiStream<fleet::DeviceMessage, fleet::ControllerMessage>::create(executor);
  stub.async()->Connect(&stream->context(), stream->reactor());
  stream->start();
  for (int i = 0; i < 200; ++i) {
    stream->write(fleet::DeviceMessage{});
    co_await asio::post(executor, asio::use_awaitable);
  }
  status = co_await stream->finish();
}

TEST_F(GrpcBridge, WritesThatMeetTheEndOfTheCallAreDropped) {
  for (int round = 0; round < 300; ++round) {
    grpc::Status status;
    run(write_past_the_end(*stub_, status));
    ASSERT_EQ(status.error_message(), "time 0") << "round " << round;
  }
}

}  // namespace
}  // namespace skerry::async
