// skerryd as a process, over its sockets, with the null engine in real workers.
#include <atomic>
#include <mutex>

#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "skerry/admin/v1/admin.grpc.pb.h"
#include "skerry/common/json.hpp"
#include "skerry/inference/v1/inference.grpc.pb.h"
#include "skerry/models/v1/models.grpc.pb.h"

#include "daemon_harness.hpp"
#include "inference/grpc_predict_v2.grpc.pb.h"

namespace skerry {
namespace {

namespace pb = inference::v1;
using test::DaemonHarness;
using test::get;
using test::http;
using test::post;
using ::testing::HasSubstr;
using ::testing::Not;

void deadline(grpc::ClientContext& context) {
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds{30});
}

struct Answer {
  std::string text;
  std::string model_digest;
  pb::Done done;
  pb::Failure failure;
  bool failed = false;
  grpc::Status status;
};

Answer generate(const std::shared_ptr<grpc::Channel>& channel, pb::GenerateRequest request) {
  auto stub = pb::InferenceService::NewStub(channel);
  grpc::ClientContext context;
  deadline(context);
  auto reader = stub->Generate(&context, request);
  Answer answer;
  pb::GenerateEvent event;
  while (reader->Read(&event)) {
    if (event.has_started()) {
      answer.model_digest = event.started().model_digest();
    } else if (event.has_delta()) {
      answer.text += event.delta().text();
    } else if (event.has_done()) {
      answer.done = event.done();
    } else if (event.has_failure()) {
      answer.failed = true;
      answer.failure = event.failure();
    }
  }
  answer.status = reader->Finish();
  return answer;
}

pb::GenerateRequest prompt(const std::string& text, const std::string& model = "default") {
  pb::GenerateRequest request;
  request.set_model(model);
  request.set_prompt(text);
  return request;
}

class Daemon : public ::testing::Test {
 protected:
  DaemonHarness daemon_;
};

TEST_F(Daemon, StartsEmptyAndReportsItself) {
  daemon_.start();
  auto stub = admin::v1::AdminService::NewStub(daemon_.channel("admin"));
  grpc::ClientContext context;
  deadline(context);
  admin::v1::GetStatusResponse status;
  const grpc::Status done = stub->GetStatus(&context, {}, &status);
  ASSERT_TRUE(done.ok()) << done.error_message() << daemon_.log();
  EXPECT_GT(status.ready_us(), 0U);
  EXPECT_EQ(status.sync().state(), "off");
  EXPECT_THAT(status.clock_state(), testing::AnyOf("unattested", "synchronised"));
  EXPECT_FALSE(status.clock_detail().empty());
  EXPECT_EQ(status.slots_size(), 0);
  EXPECT_GT(status.memory_budget_bytes(), 0U);
}

TEST_F(Daemon, ASecondOneOnTheSameStateIsRefused) {
  daemon_.start();
  test::Process second{{SKERRYD, "--config", (daemon_.dir() / "skerryd.toml").string()},
                       daemon_.dir() / "second.log"};
  const int status = second.wait();
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 1);
  std::ifstream log{daemon_.dir() / "second.log"};
  const std::string text{std::istreambuf_iterator<char>{log}, std::istreambuf_iterator<char>{}};
  EXPECT_THAT(text, HasSubstr("in use by another skerryd"));
}

TEST_F(Daemon, StopsCleanlyOnSigterm) {
  daemon_.activate_echo("1.0.0", 1);
  daemon_.start();
  EXPECT_EQ(generate(daemon_.channel("api"), prompt("hello")).text, "hello");
  const int status = daemon_.process().stop(SIGTERM);
  EXPECT_TRUE(WIFEXITED(status)) << status;
  EXPECT_EQ(WEXITSTATUS(status), 0) << daemon_.log();
  EXPECT_THAT(daemon_.log(), HasSubstr("event=daemon.stopped"));
  EXPECT_THAT(daemon_.log(), Not(HasSubstr("level=error")));
}

TEST_F(Daemon, AnswersOverGrpcAndNamesTheExactModel) {
  daemon_.activate_echo("1.0.0", 1);
  daemon_.start();
  const Answer answer = generate(daemon_.channel("api"), prompt("grüße"));
  ASSERT_TRUE(answer.status.ok()) << answer.status.error_message() << daemon_.log();
  EXPECT_EQ(answer.text, "grüße");
  EXPECT_THAT(answer.model_digest, testing::StartsWith("sha256:"));
  EXPECT_EQ(answer.done.reason(), pb::FINISH_REASON_STOP);
  EXPECT_GT(answer.done.usage().completion_tokens(), 0U);
}

TEST_F(Daemon, RefusesBadRequestsClearly) {
  daemon_.activate_echo("1.0.0", 1);
  daemon_.start();
  const auto channel = daemon_.channel("api");
  EXPECT_EQ(generate(channel, prompt("x", "")).status.error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(generate(channel, prompt("x", "no such/reference:!")).status.error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(generate(channel, prompt("x", "acme/other")).status.error_code(),
            grpc::StatusCode::NOT_FOUND);
  const Answer version = generate(channel, prompt("x", "acme/echo:9.9.9"));
  EXPECT_EQ(version.status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(version.status.error_message(), HasSubstr("1.0.0 is"));
  pb::GenerateRequest hot = prompt("x");
  hot.mutable_sampling()->set_temperature(-1);
  pb::GenerateRequest penalised = prompt("x");
  penalised.mutable_sampling()->set_frequency_penalty(3);
  EXPECT_EQ(generate(channel, penalised).status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(generate(channel, hot).status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  pb::GenerateRequest id = prompt("x");
  id.set_request_id(std::string(65, 'x'));
  EXPECT_EQ(generate(channel, id).status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(Daemon, PenaltiesAreHonouredOverGrpcAndHttp) {
  daemon_.activate_echo("1.0.0", 1);
  daemon_.start();
  pb::GenerateRequest request = prompt(std::string(9, 'a'));
  EXPECT_EQ(generate(daemon_.channel("api"), request).text, "aaaaaaaaa");
  request.mutable_sampling()->set_frequency_penalty(2);
  const std::string varied = generate(daemon_.channel("api"), request).text;
  EXPECT_EQ(varied.substr(0, 5), "aaaaa");
  EXPECT_NE(varied.substr(5, 1), "a");
  const std::string body =
      R"({"model":"default","messages":[{"role":"user","content":"aaaaaaaaa"}],"temperature":0)";
  EXPECT_THAT(http(daemon_.socket("http"), post("/v1/chat/completions", body + "}")),
              HasSubstr("\"aaaaaaaaa\""));
  EXPECT_THAT(http(daemon_.socket("http"),
                   post("/v1/chat/completions", body + R"(,"frequency_penalty":2})")),
              Not(HasSubstr("aaaaaa")));
  EXPECT_THAT(http(daemon_.socket("http"),
                   post("/v1/chat/completions", body + R"(,"presence_penalty":-3})")),
              HasSubstr("\"param\":\"presence_penalty\""));
}

TEST_F(Daemon, AWorkerThatDiesFailsItsRequestAndTheDaemonGoesOn) {
  daemon_.activate_echo("1.0.0", 1, {{"commands", "1"}});
  daemon_.start();
  const auto channel = daemon_.channel("api");
  ASSERT_EQ(generate(channel, prompt("alive")).text, "alive");
  const Answer dead = generate(channel, prompt("!abort"));
  EXPECT_TRUE(dead.failed || !dead.status.ok());
  EXPECT_THAT(dead.failure.message() + dead.status.error_message(), HasSubstr("signal"));
  Answer again;
  for (int attempt = 0; attempt < 40 && again.text != "back"; ++attempt) {
    std::this_thread::sleep_for(std::chrono::milliseconds{250});
    again = generate(channel, prompt("back"));
  }
  EXPECT_EQ(again.text, "back") << daemon_.log();
}

TEST_F(Daemon, KserveAnswersTensors) {
  daemon_.activate_echo("1.0.0", 1);
  daemon_.start();
  auto stub = ::inference::GRPCInferenceService::NewStub(daemon_.channel("api"));
  {
    grpc::ClientContext context;
    deadline(context);
    ::inference::ServerReadyResponse ready;
    ASSERT_TRUE(stub->ServerReady(&context, {}, &ready).ok());
    EXPECT_TRUE(ready.ready());
  }
  {
    grpc::ClientContext context;
    deadline(context);
    ::inference::ModelReadyRequest request;
    request.set_name("acme/echo");
    ::inference::ModelReadyResponse ready;
    ASSERT_TRUE(stub->ModelReady(&context, request, &ready).ok());
    EXPECT_TRUE(ready.ready());
  }
  grpc::ClientContext context;
  deadline(context);
  ::inference::ModelInferRequest request;
  request.set_model_name("acme/echo");
  request.set_model_version("1.0.0");
  auto& input = *request.add_inputs();
  input.set_name("x");
  input.set_datatype("FP32");
  input.add_shape(2);
  input.mutable_contents()->add_fp32_contents(1.0F);
  input.mutable_contents()->add_fp32_contents(2.0F);
  ::inference::ModelInferResponse response;
  const grpc::Status status = stub->ModelInfer(&context, request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_GT(response.outputs_size(), 0);
  EXPECT_EQ(response.outputs(0).contents().fp32_contents_size(), 2);
}

constexpr const char* kPolicy = R"({"format": "skerry-policy/1", "version": 2,
  "roles": [{"name": "admin", "rules": [{"verbs": ["admin.*", "audit.*"]}]},
            {"name": "lister", "rules": [{"verbs": ["list"], "models": ["acme/*"]}]}],
  "bindings": [{"name": "a", "role": "admin", "subjects": ["uid:%UID%"]},
               {"name": "l", "role": "lister", "subjects": ["authenticated"]}]})";

TEST_F(Daemon, PolicyDeniesAndTheDenialIsInTheVerifiedAuditLog) {
  daemon_.activate_echo("1.0.0", 1);
  daemon_.start();
  auto admin = admin::v1::AdminService::NewStub(daemon_.channel("admin"));
  std::string document{kPolicy};
  document.replace(document.find("%UID%"), 5, std::to_string(::getuid()));
  {
    grpc::ClientContext context;
    deadline(context);
    admin::v1::SetPolicyRequest request;
    request.set_document(document);
    admin::v1::SetPolicyResponse response;
    const grpc::Status status = admin->SetPolicy(&context, request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(response.policy_version(), "2");
  }
  const Answer denied = generate(daemon_.channel("api"), prompt("secret words", "acme/echo"));
  EXPECT_EQ(denied.status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  {
    grpc::ClientContext context;
    deadline(context);
    admin::v1::CanIRequest request;
    request.set_verb("infer");
    request.set_resource("acme/echo");
    admin::v1::CanIResponse response;
    ASSERT_TRUE(admin->CanI(&context, request, &response).ok());
    EXPECT_FALSE(response.allowed());
  }
  grpc::ClientContext context;
  deadline(context);
  admin::v1::TailAuditRequest request;
  request.set_last(100);
  auto reader = admin->TailAudit(&context, request);
  admin::v1::AuditRecord record;
  std::string all;
  while (reader->Read(&record)) {
    all += record.json() + "\n";
  }
  ASSERT_TRUE(reader->Finish().ok());
  EXPECT_THAT(all, HasSubstr("inference.generate"));
  EXPECT_THAT(all, HasSubstr("policy.set"));
  EXPECT_THAT(all, Not(HasSubstr("secret words")));
  grpc::ClientContext verify;
  deadline(verify);
  admin::v1::VerifyAuditResponse verified;
  ASSERT_TRUE(admin->VerifyAudit(&verify, {}, &verified).ok());
  EXPECT_TRUE(verified.ok()) << verified.problem();
  EXPECT_GT(verified.records(), 0U);
  const auto exported = [&admin](std::uint64_t from) {
    grpc::ClientContext call;
    deadline(call);
    admin::v1::ExportAuditRequest wanted;
    wanted.set_from_seq(from);
    auto pieces = admin->ExportAudit(&call, wanted);
    admin::v1::ExportAuditChunk chunk;
    std::string all_bytes;
    while (pieces->Read(&chunk)) {
      all_bytes += chunk.data();
    }
    return std::pair(pieces->Finish(), all_bytes);
  };
  const auto [whole_status, whole] = exported(0);
  ASSERT_TRUE(whole_status.ok()) << whole_status.error_message();
  const auto [tail_status, tail] = exported(verified.records() - 1);
  ASSERT_TRUE(tail_status.ok()) << tail_status.error_message();
  EXPECT_THAT(whole, HasSubstr("policy.set"));
  EXPECT_THAT(tail, Not(HasSubstr("policy.set"))) << "only what came later";
  EXPECT_LT(tail.size(), whole.size());
  EXPECT_EQ(exported(verified.records() + 1000).first.error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(Daemon, OpenAiChatStreamsAndAnswersWhole) {
  daemon_.activate_echo("1.0.0", 1);
  daemon_.start();
  const std::string socket = daemon_.socket("http");
  EXPECT_THAT(http(socket, get("/health/ready")), HasSubstr("200 OK"));
  EXPECT_THAT(http(socket, get("/v1/models")), HasSubstr("\"id\":\"acme/echo\""));
  EXPECT_THAT(http(socket, get("/v1/models/acme%2Fecho")), HasSubstr("\"object\":\"model\""));
  EXPECT_THAT(http(socket, get("/v1/models/none")), HasSubstr("404 Not Found"));
  EXPECT_THAT(http(socket, get("/nothing")), HasSubstr("404 Not Found"));
  EXPECT_THAT(http(socket, get("/v1/chat/completions")), HasSubstr("405"));
  EXPECT_THAT(http(socket, post("/v1/chat/completions", "{")), HasSubstr("400 Bad Request"));
  const std::string whole = http(
      socket,
      post("/v1/chat/completions",
           R"({"model":"default","messages":[{"role":"user","content":"ping"}],"temperature":0})"));
  EXPECT_THAT(whole, HasSubstr("200 OK")) << daemon_.log();
  EXPECT_THAT(whole, HasSubstr("\"finish_reason\":\"stop\""));
  EXPECT_THAT(whole, HasSubstr("ping"));
  const std::string stream =
      http(socket,
           post("/v1/chat/completions",
                R"({"model":"default","stream":true,"stream_options":{"include_usage":true},)"
                R"("messages":[{"role":"user","content":"ping"}],"temperature":0})"));
  const std::size_t role = stream.find("\"role\":\"assistant\"");
  const std::size_t finish = stream.find("\"finish_reason\":\"stop\"");
  const std::size_t usage = stream.find("\"choices\":[]");
  const std::size_t done = stream.find("data: [DONE]");
  EXPECT_LT(role, finish) << stream;
  EXPECT_LT(finish, usage);
  EXPECT_LT(usage, done);
  EXPECT_NE(done, std::string::npos);
  EXPECT_THAT(http(socket, get("/metrics")),
              HasSubstr("vllm:request_success_total{model_name=\"acme/echo\""));
}

TEST_F(Daemon, HttpSurvivesHostileBytes) {
  daemon_.start();
  const std::string socket = daemon_.socket("http");
  EXPECT_THAT(http(socket, "\r\n\r\nGARBAGE\r\n\r\n"), HasSubstr("400"));
  EXPECT_THAT(http(socket, "GET / HTTP/1.1\r\nx: " + std::string(64U << 10U, 'a') + "\r\n\r\n"),
              HasSubstr("431"));
  EXPECT_THAT(http(socket,
                   "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: "
                   "99999999999\r\n\r\n"),
              HasSubstr("413"));
  EXPECT_THAT(http(socket, get("/health/live")), HasSubstr("200 OK"));
}

TEST_F(Daemon, TcpNeedsATokenAndARightHost) {
  daemon_.activate_echo("1.0.0", 1);
  daemon_.start("[http]\ntcp = true\ntcp_address = \"127.0.0.1:0\"\n");
  const std::string log = daemon_.log();
  const std::size_t at = log.find("event=http.listening");
  ASSERT_NE(at, std::string::npos);
  const int port = std::stoi(log.substr(log.find("port=", at) + 5));
  const auto ask = [port](const std::string& request) {
    const UniqueFd socket{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      return std::string{"cannot connect"};
    }
    ::send(socket.get(), request.data(), request.size(), MSG_NOSIGNAL);
    std::string answer;
    char buffer[4096];
    for (ssize_t n = ::recv(socket.get(), buffer, sizeof buffer, 0); n > 0;
         n = ::recv(socket.get(), buffer, sizeof buffer, 0)) {
      answer.append(buffer, static_cast<std::size_t>(n));
    }
    return answer;
  };
  const auto with = [](const std::string& host, const std::string& extra) {
    return "GET /v1/models HTTP/1.1\r\nhost: " + host + "\r\n" + extra +
           "connection: close\r\n\r\n";
  };
  EXPECT_THAT(ask(with("localhost", "")), HasSubstr("401 Unauthorized"));
  EXPECT_THAT(ask(with("evil.example", "")), HasSubstr("403 Forbidden"));
  EXPECT_THAT(ask(with("localhost", "authorization: Bearer skt_wrong\r\n")),
              HasSubstr("401 Unauthorized"));
  auto admin = admin::v1::AdminService::NewStub(daemon_.channel("admin"));
  grpc::ClientContext context;
  deadline(context);
  admin::v1::CreateTokenRequest request;
  request.set_name("ci");
  admin::v1::CreateTokenResponse token;
  ASSERT_TRUE(admin->CreateToken(&context, request, &token).ok());
  const std::string allowed =
      ask(with("localhost", "authorization: Bearer " + token.secret() + "\r\n"));
  // The token is somebody now, but nobody gave it a role.
  EXPECT_THAT(allowed, HasSubstr("200 OK"));
  EXPECT_THAT(allowed, HasSubstr("\"data\":[]"));
}

TEST_F(Daemon, RollbackGoesBackToThePreviousGeneration) {
  daemon_.activate_echo("1.0.0", 1, {{"answer", "old"}});
  daemon_.activate_echo("1.1.0", 2, {{"answer", "new"}});
  daemon_.start();
  const auto channel = daemon_.channel("api");
  EXPECT_EQ(generate(channel, prompt("x")).text, "new");
  auto admin = admin::v1::AdminService::NewStub(daemon_.channel("admin"));
  grpc::ClientContext context;
  deadline(context);
  admin::v1::RollbackRequest request;
  request.set_slot("default");
  admin::v1::RollbackResponse response;
  const grpc::Status status = admin->Rollback(&context, request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.slot().active().version(), "1.0.0");
  EXPECT_GT(response.commit_us(), 0U);
  EXPECT_EQ(generate(channel, prompt("x")).text, "old");
}

// Three apps ask without a pause while another version goes live: every answer is whole and comes
// from exactly one of the two.
TEST_F(Daemon, AHotSwapUnderLoadLosesNoRequest) {
  const std::string old_text(40, 'o');
  const std::string new_text(40, 'n');
  daemon_.activate_echo("1.0.0", 1, {{"answer", old_text}, {"step_ms", "1"}});
  daemon_.activate_echo("1.1.0", 2, {{"answer", new_text}, {"step_ms", "1"}});
  daemon_.start();
  std::atomic<bool> done{false};
  std::atomic<int> asked{0};
  std::atomic<int> answered_old{0};
  std::atomic<int> answered_new{0};
  std::mutex mutex;
  std::vector<std::string> wrong;
  std::vector<std::thread> apps;
  for (int app = 0; app < 3; ++app) {
    apps.emplace_back([&] {
      const auto channel = daemon_.channel("api");
      while (!done) {
        ++asked;
        const Answer answer = generate(channel, prompt("x"));
        if (answer.status.ok() && !answer.failed && answer.text == old_text) {
          ++answered_old;
        } else if (answer.status.ok() && !answer.failed && answer.text == new_text) {
          ++answered_new;
        } else {
          const std::lock_guard lock{mutex};
          wrong.push_back(answer.text + " " + answer.status.error_message() +
                          answer.failure.message());
        }
      }
    });
  }
  const auto wait_for = [](const std::atomic<int>& counter, int wanted) {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds{60};
    while (counter < wanted && std::chrono::steady_clock::now() < limit) {
      std::this_thread::sleep_for(std::chrono::milliseconds{1});
    }
    return counter >= wanted;
  };
  EXPECT_TRUE(wait_for(answered_new, 10));
  auto admin = admin::v1::AdminService::NewStub(daemon_.channel("admin"));
  grpc::ClientContext context;
  deadline(context);
  admin::v1::RollbackRequest request;
  request.set_slot("default");
  admin::v1::RollbackResponse response;
  const grpc::Status status = admin->Rollback(&context, request, &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_TRUE(wait_for(answered_old, 10));
  done = true;
  for (std::thread& app : apps) {
    app.join();
  }
  EXPECT_THAT(wrong, ::testing::IsEmpty());
  EXPECT_EQ(asked, answered_old + answered_new);
}

// A disk that lost a bit of the previous model: the scrub takes it out of use and says so in the
// audit log; the collection explains every decision before it removes anything.
TEST_F(Daemon, ScrubQuarantinesRotAndCollectionExplainsItself) {
  daemon_.activate_echo("1.0.0", 1);
  daemon_.activate_echo("1.1.0", 2);
  const auto old = test::make_file(registry::FileRole::kWeights, "echo.bin", 1001, 1).digest();
  const auto path = daemon_.state() / "blobs" / "sha256" / old.hex().substr(0, 2) / old.hex();
  std::filesystem::permissions(
      path, std::filesystem::perms::owner_write, std::filesystem::perm_options::add);
  {
    std::fstream file{path, std::ios::in | std::ios::out | std::ios::binary};
    file.put('\0');
    file.put('\1');
  }
  daemon_.start();
  auto admin = admin::v1::AdminService::NewStub(daemon_.channel("admin"));
  const auto collect = [&](bool dry_run) {
    grpc::ClientContext context;
    deadline(context);
    admin::v1::CollectRequest request;
    request.set_dry_run(dry_run);
    admin::v1::CollectResponse response;
    const grpc::Status status = admin->Collect(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    std::string text;
    for (const std::string& decision : response.decisions()) {
      text += decision + "\n";
    }
    return std::pair(text, response.freed_bytes());
  };
  const auto [plan, would_free] = collect(true);
  EXPECT_THAT(plan, HasSubstr("active in slot default (acme/echo 1.1.0 raw)"));
  EXPECT_THAT(plan, HasSubstr("previous in slot default (acme/echo 1.0.0 raw)"));
  EXPECT_THAT(plan, HasSubstr("unreferenced, never used"));  // the manifests' own blobs
  EXPECT_EQ(collect(true).second, would_free) << "a dry run removed something";

  grpc::ClientContext context;
  deadline(context);
  admin::v1::ScrubResponse scrubbed;
  const grpc::Status status = admin->Scrub(&context, admin::v1::ScrubRequest{}, &scrubbed);
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_EQ(scrubbed.findings_size(), 1);
  EXPECT_EQ(scrubbed.findings(0).digest(), old.to_string());
  EXPECT_FALSE(scrubbed.findings(0).healed());
  EXPECT_THAT(scrubbed.findings(0).detail(), HasSubstr("acme/echo 1.0.0 echo.bin: there is no"));
  EXPECT_EQ(scrubbed.blobs(), 3U);
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_TRUE(std::filesystem::exists(daemon_.state() / "quarantine" / old.hex()));
  EXPECT_EQ(collect(false).second, would_free);
  EXPECT_EQ(generate(daemon_.channel("api"), prompt("still here")).text, "still here");

  grpc::ClientContext tail;
  deadline(tail);
  admin::v1::TailAuditRequest request;
  request.set_last(100);
  auto reader = admin->TailAudit(&tail, request);
  admin::v1::AuditRecord record;
  std::string all;
  while (reader->Read(&record)) {
    all += record.json() + "\n";
  }
  ASSERT_TRUE(reader->Finish().ok());
  EXPECT_THAT(all, HasSubstr("registry.scrub"));
  EXPECT_THAT(all, HasSubstr("blob.quarantined"));
  EXPECT_THAT(all, HasSubstr(old.to_string()));
  EXPECT_THAT(all, HasSubstr("registry.collect"));
}

// A second user: the daemon tells callers apart by the kernel's word, not by theirs.
TEST_F(Daemon, ASecondUidIsAnotherPrincipal) {
  if (::geteuid() != 0) {
    GTEST_SKIP() << "needs root to become a second user";
  }
  daemon_.activate_echo("1.0.0", 1);
  daemon_.start();
  const std::string out = (daemon_.dir() / "probe").string();
  const auto probe = [&](const std::vector<std::string>& prefix) {
    std::vector<std::string> command = prefix;
    command.insert(command.end(), {SKERRY_PROBE, daemon_.socket("api"), "acme/echo"});
    test::Process process{command, out};
    const int status = process.wait();
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  };
  EXPECT_EQ(probe({}), static_cast<int>(grpc::StatusCode::OK));
  EXPECT_EQ(probe({"/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"}),
            static_cast<int>(grpc::StatusCode::PERMISSION_DENIED));
  EXPECT_THAT(daemon_.log(), HasSubstr("principal=uid:65534"));
}

}  // namespace
}  // namespace skerry
