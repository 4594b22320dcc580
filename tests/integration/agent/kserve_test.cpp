// What Triton adds to the Open Inference Protocol over gRPC, against a real daemon with the null
// engine: streams, configuration, statistics, repository, shared memory.
#include <functional>
#include <thread>

#include <gmock/gmock.h>
#include <sys/mman.h>

#include "skerry/admin/v1/admin.grpc.pb.h"

#include "daemon_harness.hpp"
#include "inference/grpc_predict_v2.grpc.pb.h"

namespace skerry {
namespace {

namespace oip = ::inference;
using Stub = oip::GRPCInferenceService::Stub;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr std::chrono::seconds kSoon{20};
constexpr const char* kFinal = "triton_final_response";

void limit(grpc::ClientContext& context) {
  context.set_deadline(std::chrono::system_clock::now() + kSoon * 2);
}

oip::ModelInferRequest tensors(const std::string& id, const std::string& bytes) {
  oip::ModelInferRequest request;
  request.set_model_name("acme/echo");
  request.set_id(id);
  auto& input = *request.add_inputs();
  input.set_name("x");
  input.set_datatype("UINT8");
  input.add_shape(static_cast<std::int64_t>(bytes.size()));
  request.add_raw_input_contents(bytes);
  return request;
}

void add_text(oip::ModelInferRequest& request, const std::string& name, const std::string& value) {
  auto& input = *request.add_inputs();
  input.set_name(name);
  input.set_datatype("BYTES");
  input.add_shape(1);
  input.mutable_contents()->add_bytes_contents(value);
}

oip::ModelInferRequest text(const std::string& id,
                            const std::string& prompt,
                            int max_tokens = 200) {
  oip::ModelInferRequest request;
  request.set_model_name("default");
  request.set_id(id);
  add_text(request, "text_input", prompt);
  add_text(request,
           "sampling_parameters",
           R"({"temperature": 0, "max_tokens": )" + std::to_string(max_tokens) + "}");
  return request;
}

bool is_final(const oip::ModelStreamInferResponse& response) {
  const auto& parameters = response.infer_response().parameters();
  const auto found = parameters.find(kFinal);
  return found != parameters.end() && found->second.bool_param();
}

std::string piece(const oip::ModelStreamInferResponse& response) {
  const auto& inner = response.infer_response();
  return inner.outputs_size() == 1 ? inner.outputs(0).contents().bytes_contents(0) : std::string{};
}

class Kserve : public ::testing::Test {
 protected:
  void start(const std::map<std::string, std::string>& options = {}) {
    daemon_.activate_echo("1.0.0", 1, options);
    daemon_.start();
    stub_ = oip::GRPCInferenceService::NewStub(daemon_.channel("api"));
  }

  // All requests at once, then all responses.
  std::vector<oip::ModelStreamInferResponse> stream(
      const std::vector<oip::ModelInferRequest>& requests) {
    grpc::ClientContext context;
    limit(context);
    auto call = stub_->ModelStreamInfer(&context);
    std::thread writer{[&] {
      for (const oip::ModelInferRequest& request : requests) {
        EXPECT_TRUE(call->Write(request));
      }
      call->WritesDone();
    }};
    std::vector<oip::ModelStreamInferResponse> responses;
    oip::ModelStreamInferResponse response;
    while (call->Read(&response)) {
      responses.push_back(response);
    }
    writer.join();
    const grpc::Status status = call->Finish();
    EXPECT_TRUE(status.ok()) << status.error_message() << daemon_.log();
    return responses;
  }

  template <class Request, class Response>
  grpc::Status call(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                    const Request& request,
                    Response& response) {
    grpc::ClientContext context;
    limit(context);
    return (stub_.get()->*method)(&context, request, &response);
  }

  static bool eventually(const std::function<bool()>& holds) {
    const auto deadline = std::chrono::steady_clock::now() + kSoon;
    while (std::chrono::steady_clock::now() < deadline) {
      if (holds()) {
        return true;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds{20});
    }
    return holds();
  }

  double in_flight() const {
    return daemon_.metric("vllm:num_requests_running") +
           daemon_.metric("vllm:num_requests_waiting");
  }

  void set_policy(const std::string& verbs) {
    std::string document = R"({"format": "skerry-policy/1", "version": 2,
      "roles": [{"name": "admin", "rules": [{"verbs": ["admin.*", "audit.*"]}]},
                {"name": "app", "rules": [{"verbs": [%VERBS%], "models": ["acme/*"]}]}],
      "bindings": [{"name": "a", "role": "admin", "subjects": ["uid:%UID%"]},
                   {"name": "b", "role": "app", "subjects": ["authenticated"]}]})";
    document.replace(document.find("%VERBS%"), 7, verbs);
    document.replace(document.find("%UID%"), 5, std::to_string(::getuid()));
    auto admin = admin::v1::AdminService::NewStub(daemon_.channel("admin"));
    grpc::ClientContext context;
    limit(context);
    admin::v1::SetPolicyRequest request;
    request.set_document(document);
    admin::v1::SetPolicyResponse response;
    const grpc::Status status = admin->SetPolicy(&context, request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
  }

  test::DaemonHarness daemon_;
  std::unique_ptr<Stub> stub_;
};

TEST_F(Kserve, AStreamAnswersTensorsInOrderAndOutlivesABadRequest) {
  start();
  std::vector<oip::ModelInferRequest> requests;
  for (int i = 0; i < 40; ++i) {
    requests.push_back(tensors(std::to_string(i), std::string(1 + i % 7, static_cast<char>(i))));
  }
  requests[5].mutable_inputs(0)->set_shape(0, 1000);
  requests[6].set_model_name("acme/absent");
  const auto responses = stream(requests);
  ASSERT_THAT(responses, SizeIs(40));
  for (std::size_t i = 0; i < responses.size(); ++i) {
    const auto& inner = responses[i].infer_response();
    EXPECT_EQ(inner.id(), std::to_string(i));
    EXPECT_TRUE(is_final(responses[i])) << i;
    if (i == 5) {
      EXPECT_THAT(responses[i].error_message(), HasSubstr("invalid_argument: tensor \"x\""));
    } else if (i == 6) {
      EXPECT_THAT(responses[i].error_message(), HasSubstr("not_found"));
    } else {
      EXPECT_EQ(responses[i].error_message(), "");
      ASSERT_EQ(inner.raw_output_contents_size(), 1) << i;
      EXPECT_EQ(inner.raw_output_contents(0), requests[i].raw_input_contents(0));
      EXPECT_EQ(inner.model_version(), "1.0.0");
    }
  }
}

TEST_F(Kserve, AStreamTellsTextInPieces) {
  start({{"step_ms", "2"}});
  const auto responses = stream({text("a", "hello stream"), tensors("b", "x")});
  ASSERT_GE(responses.size(), 3U) << daemon_.log();
  std::string told;
  for (std::size_t i = 0; i + 1 < responses.size(); ++i) {
    EXPECT_EQ(responses[i].error_message(), "");
    EXPECT_EQ(responses[i].infer_response().id(), "a");
    EXPECT_EQ(responses[i].infer_response().model_version(), "1.0.0");
    EXPECT_EQ(is_final(responses[i]), i + 2 == responses.size()) << i;
    told += piece(responses[i]);
  }
  EXPECT_EQ(told, "hello stream");
  EXPECT_EQ(responses.back().infer_response().id(), "b");
}

TEST_F(Kserve, TextEndsAsItWasAskedTo) {
  start();
  oip::ModelInferRequest alone = text("alone", "hi");
  (*alone.mutable_parameters())["triton_enable_empty_final_response"].set_bool_param(true);
  oip::ModelInferRequest whole = text("whole", "all at once");
  auto& input = *whole.add_inputs();
  input.set_name("stream");
  input.set_datatype("BOOL");
  input.add_shape(1);
  input.mutable_contents()->add_bool_contents(false);
  oip::ModelInferRequest bad = text("bad", "x");
  add_text(bad, "image", "x");
  const auto responses = stream({alone, whole, bad});
  ASSERT_GE(responses.size(), 4U);
  const std::size_t count = responses.size();
  EXPECT_THAT(responses[count - 1].error_message(), HasSubstr("\"image\""));
  EXPECT_EQ(piece(responses[count - 2]), "all at once");
  EXPECT_TRUE(is_final(responses[count - 2]));
  EXPECT_EQ(responses[count - 3].infer_response().outputs_size(), 0);
  EXPECT_EQ(responses[count - 3].infer_response().id(), "alone");
  EXPECT_TRUE(is_final(responses[count - 3]));
  EXPECT_FALSE(is_final(responses[count - 4]));
}

TEST_F(Kserve, AStreamWhoseClientLeavesIsStoppedInTheWorker) {
  // Each of them would run for minutes.
  start({{"step_ms", "100"}});
  grpc::ClientContext context;
  auto call = stub_->ModelStreamInfer(&context);
  ASSERT_TRUE(call->Write(text("a", std::string(1500, 'x'), 1500)));
  ASSERT_TRUE(call->Write(text("b", std::string(1500, 'y'), 1500)));
  ASSERT_TRUE(eventually([&] { return in_flight() == 2; })) << daemon_.log();
  context.TryCancel();
  oip::ModelStreamInferResponse response;
  while (call->Read(&response)) {
    EXPECT_FALSE(is_final(response));
  }
  EXPECT_EQ(call->Finish().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(eventually([&] { return in_flight() == 0; })) << daemon_.log();
}

TEST_F(Kserve, NoMoreThanEightRequestsOfAStreamRunAtOnce) {
  // One step is longer than this test may last.
  start({{"step_ms", "120000"}});
  grpc::ClientContext context;
  auto call = stub_->ModelStreamInfer(&context);
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(call->Write(tensors(std::to_string(i), "x")));
  }
  ASSERT_TRUE(eventually([&] { return in_flight() == 8; })) << daemon_.log();
  std::this_thread::sleep_for(std::chrono::milliseconds{300});
  EXPECT_EQ(in_flight(), 8);
  context.TryCancel();
  EXPECT_EQ(call->Finish().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(eventually([&] { return in_flight() == 0; })) << daemon_.log();
}

TEST_F(Kserve, AnOpenStreamDoesNotHoldUpAStop) {
  start();
  grpc::ClientContext context;
  auto call = stub_->ModelStreamInfer(&context);
  ASSERT_TRUE(call->Write(tensors("a", "x")));
  oip::ModelStreamInferResponse response;
  ASSERT_TRUE(call->Read(&response));
  const auto began = std::chrono::steady_clock::now();
  EXPECT_EQ(daemon_.process().stop(SIGTERM), 0) << daemon_.log();
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds{8});
  EXPECT_FALSE(call->Read(&response));
  EXPECT_FALSE(call->Finish().ok());
}

TEST_F(Kserve, WhatThePolicyDeniesIsDeniedInTheStreamToo) {
  start();
  set_policy(R"("list")");
  const auto denied = stream({text("a", "secret"), tensors("b", "secret")});
  ASSERT_THAT(denied, SizeIs(2));
  EXPECT_THAT(denied[0].error_message(), HasSubstr("permission_denied"));
  EXPECT_THAT(denied[1].error_message(), HasSubstr("permission_denied"));
  oip::ModelStatisticsResponse statistics;
  EXPECT_EQ(call(&Stub::ModelStatistics, oip::ModelStatisticsRequest{}, statistics).error_code(),
            grpc::StatusCode::PERMISSION_DENIED);
  oip::RepositoryModelLoadRequest load;
  load.set_model_name("acme/echo");
  oip::RepositoryModelLoadResponse loaded;
  EXPECT_EQ(call(&Stub::RepositoryModelLoad, load, loaded).error_code(),
            grpc::StatusCode::PERMISSION_DENIED);
  oip::RepositoryIndexResponse index;
  ASSERT_TRUE(call(&Stub::RepositoryIndex, oip::RepositoryIndexRequest{}, index).ok());
  EXPECT_EQ(index.models_size(), 1);
}

TEST_F(Kserve, TheIndexShowsOnlyWhatOneMayList) {
  start();
  set_policy(R"("infer")");
  oip::RepositoryIndexResponse index;
  ASSERT_TRUE(call(&Stub::RepositoryIndex, oip::RepositoryIndexRequest{}, index).ok());
  EXPECT_EQ(index.models_size(), 0);
  EXPECT_EQ(stream({tensors("a", "x")}).front().error_message(), "");
}

TEST_F(Kserve, TheRepositoryIsIndexedLoadedAndUnloaded) {
  start();
  oip::ServerMetadataResponse server;
  ASSERT_TRUE(call(&Stub::ServerMetadata, oip::ServerMetadataRequest{}, server).ok());
  EXPECT_THAT(server.extensions(), Contains("system_shared_memory"));
  oip::RepositoryIndexResponse index;
  oip::RepositoryIndexRequest ready;
  ready.set_ready(true);
  ASSERT_TRUE(call(&Stub::RepositoryIndex, ready, index).ok());
  ASSERT_EQ(index.models_size(), 1);
  EXPECT_EQ(index.models(0).name(), "acme/echo");
  EXPECT_EQ(index.models(0).version(), "1.0.0");
  EXPECT_EQ(index.models(0).state(), "READY");
  ready.set_repository_name("other");
  EXPECT_EQ(call(&Stub::RepositoryIndex, ready, index).error_code(), grpc::StatusCode::NOT_FOUND);

  oip::RepositoryModelLoadRequest load;
  load.set_model_name("acme/echo");
  oip::RepositoryModelLoadResponse loaded;
  ASSERT_TRUE(call(&Stub::RepositoryModelLoad, load, loaded).ok());
  EXPECT_EQ(daemon_.metric("skerry_models_loaded"), 1);
  (*load.mutable_parameters())["config"].set_string_param("{}");
  const grpc::Status refused = call(&Stub::RepositoryModelLoad, load, loaded);
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(refused.error_message(), HasSubstr("parameter config"));
  oip::RepositoryModelUnloadRequest unload;
  unload.set_model_name("acme/echo");
  (*unload.mutable_parameters())["unload_dependents"].set_bool_param(true);
  oip::RepositoryModelUnloadResponse unloaded;
  ASSERT_TRUE(call(&Stub::RepositoryModelUnload, unload, unloaded).ok());
  EXPECT_EQ(daemon_.metric("skerry_models_loaded"), 0);
}

TEST_F(Kserve, ConfigurationAndStatisticsAreTold) {
  start();
  oip::ModelConfigRequest ask;
  ask.set_name("acme/echo");
  oip::ModelConfigResponse answer;
  ASSERT_TRUE(call(&Stub::ModelConfig, ask, answer).ok());
  EXPECT_EQ(answer.config().name(), "acme/echo");
  EXPECT_EQ(answer.config().backend(), "null");
  EXPECT_EQ(answer.config().max_batch_size(), 0);
  EXPECT_TRUE(answer.config().model_transaction_policy().decoupled());
  oip::ModelInferRequest wrong = tensors("c", "x");
  wrong.add_outputs()->set_name("absent");
  stream({tensors("a", "x"), text("b", "hello"), wrong});
  oip::ModelStatisticsResponse statistics;
  ASSERT_TRUE(call(&Stub::ModelStatistics, oip::ModelStatisticsRequest{}, statistics).ok());
  ASSERT_EQ(statistics.model_stats_size(), 1);
  const oip::ModelStatistics& stats = statistics.model_stats(0);
  EXPECT_EQ(stats.name(), "acme/echo");
  EXPECT_EQ(stats.version(), "1.0.0");
  EXPECT_EQ(stats.inference_count(), 2U);
  EXPECT_EQ(stats.inference_stats().success().count(), 2U);
  EXPECT_GT(stats.inference_stats().success().ns(), 0U);
  EXPECT_EQ(stats.inference_stats().fail().count(), 1U);
  EXPECT_EQ(stats.inference_stats().queue().count(), 1U);
  EXPECT_EQ(stats.execution_count(), 0U);
  oip::ModelStatisticsRequest absent;
  absent.set_name("acme/absent");
  EXPECT_EQ(call(&Stub::ModelStatistics, absent, statistics).error_code(),
            grpc::StatusCode::NOT_FOUND);
}

// A POSIX shared memory object of this process.
class Shared {
 public:
  explicit Shared(const std::string& bytes)
      : key_("/skerry-test-" + std::to_string(::getpid())),
        fd_(::shm_open(key_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600)) {
    EXPECT_TRUE(fd_.valid());
    EXPECT_EQ(::pwrite(fd_.get(), bytes.data(), bytes.size(), 0),
              static_cast<ssize_t>(bytes.size()));
  }
  ~Shared() { ::shm_unlink(key_.c_str()); }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;
  [[nodiscard]] const std::string& key() const { return key_; }
  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] std::string bytes(std::size_t count) const {
    std::string data(count, '\0');
    EXPECT_EQ(::pread(fd_.get(), data.data(), count, 0), static_cast<ssize_t>(count));
    return data;
  }

 private:
  std::string key_;
  UniqueFd fd_;
};

TEST_F(Kserve, TensorsGoThroughSharedMemory) {
  start();
  const Shared memory{"....abcd........"};
  oip::SystemSharedMemoryRegisterRequest region;
  region.set_name("region");
  region.set_key(memory.key());
  region.set_offset(4);
  region.set_byte_size(12);
  oip::SystemSharedMemoryRegisterResponse registered;
  const grpc::Status status = call(&Stub::SystemSharedMemoryRegister, region, registered);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(call(&Stub::SystemSharedMemoryRegister, region, registered).error_code(),
            grpc::StatusCode::ALREADY_EXISTS);
  oip::SystemSharedMemoryStatusResponse regions;
  ASSERT_TRUE(
      call(&Stub::SystemSharedMemoryStatus, oip::SystemSharedMemoryStatusRequest{}, regions).ok());
  ASSERT_EQ(regions.regions().size(), 1U);
  EXPECT_EQ(regions.regions().at("region").byte_size(), 12U);

  oip::ModelInferRequest request = tensors("a", "");
  request.clear_raw_input_contents();
  request.mutable_inputs(0)->set_shape(0, 4);
  auto& in = *request.mutable_inputs(0)->mutable_parameters();
  in["shared_memory_region"].set_string_param("region");
  in["shared_memory_byte_size"].set_int64_param(4);
  auto& output = *request.add_outputs();
  output.set_name("x");
  auto& out = *output.mutable_parameters();
  out["shared_memory_region"].set_string_param("region");
  out["shared_memory_offset"].set_int64_param(6);
  out["shared_memory_byte_size"].set_int64_param(5);
  oip::ModelInferResponse response;
  const grpc::Status inferred = call(&Stub::ModelInfer, request, response);
  ASSERT_TRUE(inferred.ok()) << inferred.error_message();
  EXPECT_EQ(memory.bytes(16), "....abcd..abcd..");
  ASSERT_EQ(response.outputs_size(), 1);
  EXPECT_EQ(response.outputs(0).parameters().at("shared_memory_byte_size").int64_param(), 4);
  ASSERT_EQ(response.raw_output_contents_size(), 1);
  EXPECT_EQ(response.raw_output_contents(0), "");

  out["shared_memory_byte_size"].set_int64_param(3);
  EXPECT_THAT(call(&Stub::ModelInfer, request, response).error_message(),
              HasSubstr("shared_memory_byte_size is 3"));
  out["shared_memory_byte_size"].set_int64_param(4);
  // The object is cut short under the daemon: an error for the request, nothing for the daemon.
  ASSERT_EQ(::ftruncate(memory.fd(), 5), 0);
  EXPECT_EQ(call(&Stub::ModelInfer, request, response).error_code(),
            grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(stream({tensors("b", "x")}).front().error_message(), "");

  oip::SystemSharedMemoryUnregisterRequest unregister;
  oip::SystemSharedMemoryUnregisterResponse unregistered;
  ASSERT_TRUE(call(&Stub::SystemSharedMemoryUnregister, unregister, unregistered).ok());
  EXPECT_EQ(call(&Stub::ModelInfer, request, response).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(Kserve, ObjectsThatAreNotOnesOwnAreNoSharedMemory) {
  start();
  oip::SystemSharedMemoryRegisterRequest region;
  region.set_name("region");
  region.set_byte_size(1);
  oip::SystemSharedMemoryRegisterResponse registered;
  for (const char* const key : {"../etc/passwd", "..", "", "/a/b"}) {
    region.set_key(key);
    EXPECT_EQ(call(&Stub::SystemSharedMemoryRegister, region, registered).error_code(),
              grpc::StatusCode::INVALID_ARGUMENT)
        << key;
  }
  region.set_key("/skerry-test-absent");
  EXPECT_EQ(call(&Stub::SystemSharedMemoryRegister, region, registered).error_code(),
            grpc::StatusCode::NOT_FOUND);
  const std::string link = "/dev/shm/skerry-test-link-" + std::to_string(::getpid());
  ASSERT_EQ(::symlink("/etc/passwd", link.c_str()), 0);
  region.set_key(link.substr(9));
  EXPECT_EQ(call(&Stub::SystemSharedMemoryRegister, region, registered).error_code(),
            grpc::StatusCode::PERMISSION_DENIED);
  ::unlink(link.c_str());
}

}  // namespace
}  // namespace skerry
