// Quotas of roles, through the daemon's gRPC and HTTP front ends.
#include <chrono>
#include <cstdlib>
#include <thread>

#include <gmock/gmock.h>

#include "skerry/admin/v1/admin.grpc.pb.h"
#include "skerry/inference/v1/inference.grpc.pb.h"

#include "daemon_harness.hpp"

namespace skerry {
namespace {

namespace infer_pb = inference::v1;
using ::testing::HasSubstr;

constexpr std::string_view kQuotaPolicy = R"({"format": "skerry-policy/1", "version": %VERSION%,
  "roles": [{"name": "admin", "rules": [{"verbs": ["admin.*", "audit.*", "metrics.read"]}]},
            {"name": "app", "quota": %QUOTA%, "rules": [{"verbs": ["infer", "embed", "list"]}]}],
  "bindings": [{"name": "a", "role": "admin", "subjects": ["uid:%UID%"]},
               {"name": "b", "role": "app", "subjects": ["authenticated"]}]})";

class Quota : public ::testing::Test {
 protected:
  Quota() {
    daemon_.activate_echo("1.0.0", 1);
    daemon_.start();
  }

  void set_policy(int version, const std::string& quota) {
    std::string document{kQuotaPolicy};
    for (const auto& [mark, value] : {std::pair{"%VERSION%", std::to_string(version)},
                                      std::pair{"%QUOTA%", quota},
                                      std::pair{"%UID%", std::to_string(::getuid())}}) {
      document.replace(document.find(mark), std::string{mark}.size(), value);
    }
    auto admin = admin::v1::AdminService::NewStub(daemon_.channel("admin"));
    grpc::ClientContext context;
    admin::v1::SetPolicyRequest request;
    request.set_document(document);
    admin::v1::SetPolicyResponse response;
    const grpc::Status status = admin->SetPolicy(&context, request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
  }
  grpc::Status generate() {
    auto stub = infer_pb::InferenceService::NewStub(daemon_.channel("api"));
    grpc::ClientContext context;
    infer_pb::GenerateRequest request;
    request.set_model("default");
    request.set_prompt("ping");
    auto reader = stub->Generate(&context, request);
    infer_pb::GenerateEvent event;
    while (reader->Read(&event)) {
    }
    return reader->Finish();
  }
  std::string chat(const std::string& extra = "") {
    return test::http(
        daemon_.socket("http"),
        test::post(
            "/v1/chat/completions",
            R"({"model":"default","messages":[{"role":"user","content":"ping"}])" + extra + "}"));
  }

  test::DaemonHarness daemon_;
};

TEST_F(Quota, RequestsAMinuteAreOneBudgetForEveryFrontEnd) {
  set_policy(2, R"({"requests_per_minute": 3})");
  EXPECT_TRUE(generate().ok());
  EXPECT_THAT(chat(), HasSubstr("200 OK"));
  EXPECT_TRUE(generate().ok());
  const grpc::Status refused = generate();
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(refused.error_message(), HasSubstr("quota of role app: 3 requests a minute"));
  for (const char* extra : {"", R"(,"stream":true)"}) {
    const std::string answer = chat(extra);
    EXPECT_THAT(answer, HasSubstr("429 Too Many Requests")) << answer;
    EXPECT_THAT(answer, HasSubstr("rate_limit_error"));
    // A request comes back every 20 s, which is what the header says.
    const std::size_t at = answer.find("retry-after: ");
    ASSERT_NE(at, std::string::npos) << answer;
    const int wait = std::atoi(answer.c_str() + at + 13);
    EXPECT_GE(wait, 10);
    EXPECT_LE(wait, 20);
  }
  EXPECT_THAT(test::http(daemon_.socket("http"), test::get("/metrics")),
              HasSubstr("skerry_requests_over_quota_total 3\n"));
  // A newer policy counts at once.
  set_policy(3, R"({"requests_per_minute": 100000})");
  EXPECT_TRUE(generate().ok());
}

TEST_F(Quota, TokensArePaidAfterTheAnswer) {
  set_policy(2, R"({"tokens_per_minute": 5})");
  EXPECT_TRUE(generate().ok()) << "an answer is not cut in the middle";
  const grpc::Status refused = generate();
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(refused.error_message(), HasSubstr("5 tokens a minute; try again in "));
}

TEST_F(Quota, RefusalsAreInTheAuditLog) {
  set_policy(2, R"({"requests_per_minute": 1})");
  EXPECT_TRUE(generate().ok());
  EXPECT_FALSE(generate().ok());
  auto admin = admin::v1::AdminService::NewStub(daemon_.channel("admin"));
  std::string all;
  for (int attempt = 0; attempt < 50 && all.find("resource_exhausted") == std::string::npos;
       ++attempt) {
    all.clear();
    grpc::ClientContext context;
    admin::v1::TailAuditRequest request;
    request.set_last(50);
    auto reader = admin->TailAudit(&context, request);
    admin::v1::AuditRecord record;
    while (reader->Read(&record)) {
      all += record.ShortDebugString();
    }
    reader->Finish();
    // Inferences are written in groups.
    std::this_thread::sleep_for(std::chrono::milliseconds{100});
  }
  EXPECT_THAT(all, HasSubstr("resource_exhausted"));
}

TEST_F(Quota, PolicyWithABadQuotaIsRefusedByName) {
  auto admin = admin::v1::AdminService::NewStub(daemon_.channel("admin"));
  grpc::ClientContext context;
  admin::v1::SetPolicyRequest request;
  request.set_document(
      R"({"format":"skerry-policy/1","version":2,"roles":[{"name":"a","quota":{"concurrent":0},)"
      R"("rules":[{"verbs":["infer"]}]}],"bindings":[]})");
  admin::v1::SetPolicyResponse response;
  const grpc::Status status = admin->SetPolicy(&context, request, &response);
  EXPECT_THAT(status.error_message(), HasSubstr("roles[0].quota.concurrent"));
}

}  // namespace
}  // namespace skerry
