// skerryd as a process with what the security role signed already on its disk and no network: the
// policy is in force and the revoked model does not answer from the first call on; root's way in.
#include <gmock/gmock.h>

#include "skerry/admin/v1/admin.grpc.pb.h"
#include "skerry/inference/v1/inference.grpc.pb.h"
#include "skerry/security/rbac.hpp"
#include "skerry/security/revocations.hpp"
#include "skerry/security/signed_document.hpp"

#include "daemon_harness.hpp"

namespace skerry {
namespace {

namespace adm = admin::v1;
using test::DaemonHarness;
using ::testing::HasSubstr;

template <class Document>
Result<std::int64_t> document_version(std::string_view text) {
  auto document = Document::parse(text);
  if (!document) {
    return document.error();
  }
  return document->version();
}

class SecurityRole : public ::testing::Test {
 protected:
  // Puts a document where a gateway keeps what it verified.
  template <class Document>
  void keep(const std::string& name, const std::string& target, const std::string& bytes) {
    SystemFileSystem fs;
    ASSERT_TRUE(fs.create_directories(daemon_.state(), 0750));
    security::SignedDocumentStore::Options options;
    options.path = daemon_.state() / (name + ".signed.json");
    options.what = name;
    options.limit = 1U << 20U;
    options.check = document_version<Document>;
    security::SignedDocument document;
    document.target = target;
    document.role = "security";
    document.role_version = 1;
    document.bytes = bytes;
    const auto kept = security::SignedDocumentStore::open(fs, options)->accept(document);
    ASSERT_TRUE(kept) << kept.error().to_string();
  }
  void keep_policy(int version, const std::string& verbs, const std::string& subject) {
    keep<security::Policy>("policy",
                           "security/policy/default",
                           R"({"format":"skerry-policy/1","version":)" + std::to_string(version) +
                               R"(,"roles":[{"name":"r","rules":[{"verbs":[)" + verbs +
                               R"(]}]}],"bindings":[{"name":"b","role":"r","subjects":[")" +
                               subject + "\"]}]}");
  }

  template <class Request, class Response>
  grpc::Status call(grpc::Status (adm::AdminService::Stub::*method)(grpc::ClientContext*,
                                                                    const Request&,
                                                                    Response*),
                    const Request& request,
                    Response& response) {
    auto stub = adm::AdminService::NewStub(daemon_.channel("admin"));
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds{30});
    return (stub.get()->*method)(&context, request, &response);
  }
  grpc::Status status(adm::GetStatusResponse& out) {
    return call(&adm::AdminService::Stub::GetStatus, adm::GetStatusRequest{}, out);
  }
  grpc::Status glass(const std::string& reason, bool end, adm::BreakGlassResponse& out) {
    adm::BreakGlassRequest request;
    request.set_reason(reason);
    request.set_seconds(60);
    request.set_end(end);
    return call(&adm::AdminService::Stub::BreakGlass, request, out);
  }
  std::string audit() {
    auto stub = adm::AdminService::NewStub(daemon_.channel("admin"));
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds{30});
    adm::TailAuditRequest request;
    request.set_last(200);
    auto reader = stub->TailAudit(&context, request);
    adm::AuditRecord record;
    std::string all;
    while (reader->Read(&record)) {
      all += record.json() + "\n";
    }
    EXPECT_TRUE(reader->Finish().ok());
    return all;
  }
  struct Answer {
    std::string text;
    grpc::Status status;
  };
  Answer ask() {
    auto stub = inference::v1::InferenceService::NewStub(daemon_.channel("api"));
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds{30});
    inference::v1::GenerateRequest request;
    request.set_model("default");
    request.set_prompt("x");
    auto reader = stub->Generate(&context, request);
    Answer answer;
    inference::v1::GenerateEvent event;
    while (reader->Read(&event)) {
      answer.text += event.has_delta() ? event.delta().text() : "";
    }
    answer.status = reader->Finish();
    return answer;
  }

  const std::string me_ = "uid:" + std::to_string(::getuid());
  DaemonHarness daemon_;
};

TEST_F(SecurityRole, TheKeptPolicyIsInForceFromTheFirstCallAndNoLocalOneReplacesIt) {
  daemon_.activate_echo("1.0.0", 1);
  keep_policy(5, R"("admin.*","audit.*")", me_);
  daemon_.start();
  EXPECT_EQ(ask().status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  adm::GetStatusResponse seen;
  ASSERT_TRUE(status(seen).ok()) << daemon_.log();
  EXPECT_EQ(seen.policy_source(), "signed");
  EXPECT_EQ(seen.policy_version(), "5");
  adm::SetPolicyRequest request;
  request.set_document(R"({"format":"skerry-policy/1","version":9,"roles":[],"bindings":[]})");
  adm::SetPolicyResponse response;
  const grpc::Status refused = call(&adm::AdminService::Stub::SetPolicy, request, response);
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(refused.error_message(), HasSubstr("the signed policy"));
  EXPECT_THAT(audit(), HasSubstr("policy.set"));
  adm::GetPolicyResponse document;
  ASSERT_TRUE(call(&adm::AdminService::Stub::GetPolicy, adm::GetPolicyRequest{}, document).ok());
  EXPECT_THAT(document.document(), HasSubstr("\"version\":5"));
}

TEST_F(SecurityRole, AStoppedModelDoesNotAnswerAndTheOneBeforeItTakesOver) {
  daemon_.activate_echo("1.0.0", 1, {{"answer", "old"}});
  daemon_.activate_echo("1.1.0", 2, {{"answer", "new"}});
  keep<security::Revocations>(
      "revocations",
      "security/revocations",
      R"({"format":"skerry-revocations/1","version":1,"entries":[{"id":"cve-1","effect":"stop",)"
      R"("model":"acme/echo","versions":["1.1.*"],"reason":"poisoned"}]})");
  daemon_.start();
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{30};
  Answer answer = ask();
  while (!answer.status.ok() || answer.text.empty()) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline) << daemon_.log();
    answer = ask();
  }
  EXPECT_EQ(answer.text, "old") << "the revoked one never answered";
  EXPECT_THAT(audit(), HasSubstr("model.stop"));
  EXPECT_EQ(daemon_.metric("skerry_revocation_stops_total"), 1.0);
  adm::GetStatusResponse seen;
  ASSERT_TRUE(status(seen).ok());
  ASSERT_EQ(seen.slots_size(), 1);
  EXPECT_EQ(seen.slots(0).active().version(), "1.0.0");
}

TEST_F(SecurityRole, RootBreaksTheGlassOnRecordAndARestartEndsIt) {
  if (::geteuid() != 0) {
    GTEST_SKIP() << "break-glass is for root";
  }
  keep_policy(5, R"("infer")", "uid:4242");
  daemon_.start();
  adm::GetStatusResponse seen;
  EXPECT_EQ(status(seen).error_code(), grpc::StatusCode::PERMISSION_DENIED);
  adm::BreakGlassResponse response;
  EXPECT_EQ(glass("short", false, response).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  grpc::Status opened = glass("policy 5 names nobody here", false, response);
  ASSERT_TRUE(opened.ok()) << opened.error_message() << daemon_.log();
  EXPECT_TRUE(response.status().active());
  ASSERT_TRUE(status(seen).ok());
  EXPECT_TRUE(seen.break_glass().active());
  EXPECT_EQ(seen.break_glass().reason(), "policy 5 names nobody here");
  EXPECT_EQ(daemon_.metric("skerry_break_glass_active"), 1.0);
  EXPECT_EQ(glass("once more, to add time", false, response).error_code(),
            grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_NE(ask().status.error_code(), grpc::StatusCode::OK) << "administration, not inference";
  ASSERT_TRUE(glass("", true, response).ok());
  EXPECT_FALSE(response.status().active());
  EXPECT_EQ(status(seen).error_code(), grpc::StatusCode::PERMISSION_DENIED);

  ASSERT_TRUE(glass("left open when the power goes", false, response).ok());
  daemon_.process().stop(SIGKILL);
  std::filesystem::remove(daemon_.dir() / "log");
  daemon_.start();
  EXPECT_EQ(status(seen).error_code(), grpc::StatusCode::PERMISSION_DENIED);
  ASSERT_TRUE(glass("to read what was recorded", false, response).ok());
  const std::string records = audit();
  EXPECT_THAT(records, HasSubstr("policy 5 names nobody here"));
  EXPECT_THAT(records, HasSubstr("break_glass.use"));
  EXPECT_THAT(records, HasSubstr("ended by uid:0"));
  EXPECT_THAT(records, HasSubstr("ended by a restart of the daemon"));
}

}  // namespace
}  // namespace skerry
