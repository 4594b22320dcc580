// Upstreams against fakes of vLLM, mlx_lm.server, Ollama and Foundry Local over loopback: their
// quirks, health, load, fallback, cancellation, TLS and keys.
#include "skerry/agent/upstreams.hpp"

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <thread>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <gmock/gmock.h>

#include "skerry/common/json.hpp"

#include "temp_dir.hpp"
#include "upstreams/fake_upstream.hpp"

namespace skerry::agent::upstream {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using namespace std::chrono_literals;
using test::FakeUpstream;

struct Heard {
  bool started = false;
  std::string text;
  std::vector<runtime::TokenLogProb> log_probs;
  std::optional<runtime::Embeddings> embeddings;
  std::optional<runtime::Done> done;
  std::optional<runtime::Failure> failure;
  std::size_t deltas = 0;
  std::string reasoning;
  std::vector<std::string> calls;  // "name arguments"

  void take(runtime::Event event) {
    if (std::holds_alternative<runtime::Started>(event)) {
      started = true;
    } else if (auto* delta = std::get_if<runtime::TextDelta>(&event)) {
      ++deltas;
      text += delta->text;
      for (auto& token : delta->log_probs) {
        log_probs.push_back(std::move(token));
      }
    } else if (auto* part = std::get_if<runtime::ChatPart>(&event)) {
      if (part->kind == runtime::ChatPart::Kind::kReasoning) {
        reasoning += part->text;
      } else if (part->kind == runtime::ChatPart::Kind::kCall) {
        calls.push_back(part->name + " ");
      } else {
        calls.at(part->call) += part->text;
      }
    } else if (auto* found = std::get_if<runtime::Embeddings>(&event)) {
      embeddings = std::move(*found);
    } else if (auto* end = std::get_if<runtime::Done>(&event)) {
      done = std::move(*end);
    } else if (auto* failed = std::get_if<runtime::Failure>(&event)) {
      failure = std::move(*failed);
    }
  }
  [[nodiscard]] bool over() const { return done || failure; }
};

class UpstreamServers : public ::testing::Test {
 protected:
  ~UpstreamServers() override {
    model_.reset();
    if (upstreams_) {
      bool stopped = false;
      boost::asio::co_spawn(
          io_, upstreams_->stop(), [&stopped](const std::exception_ptr&) { stopped = true; });
      run_until([&stopped] { return stopped; });
    }
  }

  FakeUpstream& fake(const std::string& name,
                     const std::string& kind,
                     std::vector<std::string> more = {}) {
    fakes_.push_back(std::make_unique<FakeUpstream>(dir_.path(), name, kind, std::move(more)));
    return *fakes_.back();
  }
  EndpointOptions& endpoint(const FakeUpstream& server, ServerKind kind, Tier tier = Tier::kLocal) {
    EndpointOptions& one = options_.endpoints.emplace_back();
    one.name = server.name();
    one.url = server.url();
    one.kind = kind;
    one.tier = tier;
    return one;
  }
  // Only one server, of this kind.
  FakeUpstream& only(ServerKind kind, std::vector<std::string> more = {}) {
    FakeUpstream& server = fake("one", std::string{to_string(kind)}, std::move(more));
    endpoint(server, kind);
    EXPECT_TRUE(load());
    return server;
  }

  bool run_until(const std::function<bool()>& there) {
    const auto deadline = std::chrono::steady_clock::now() + 60s;
    while (!there()) {
      if (std::chrono::steady_clock::now() > deadline) {
        return false;
      }
      io_.restart();
      io_.run_for(5ms);
    }
    return true;
  }

  Result<void> load(std::vector<Tier> order = {Tier::kLocal}) {
    if (!upstreams_) {
      options_.connect_timeout = 20s;
      auto made =
          Upstreams::make(io_.get_executor(), disk_.get_executor(), options_, clock_, fs_, Log{});
      if (!made) {
        return made.error();
      }
      upstreams_ = *std::move(made);
    }
    Spec spec;
    spec.model = "m";
    spec.order = std::move(order);
    spec.text = true;
    spec.embed = true;
    spec.spill = spill_;
    spec.context_length = context_length_;
    std::optional<Result<std::shared_ptr<runtime::LoadedModel>>> loaded;
    boost::asio::co_spawn(io_, take(spec, loaded), [](const std::exception_ptr&) {});
    EXPECT_TRUE(run_until([&loaded] { return loaded.has_value(); }));
    if (!*loaded) {
      return loaded->error();
    }
    model_ = **loaded;
    return {};
  }
  Task<void> take(Spec spec, std::optional<Result<std::shared_ptr<runtime::LoadedModel>>>& loaded) {
    auto result = co_await upstreams_->load(Digest::of("m"), std::move(spec));
    loaded.emplace(std::move(result));
  }

  static runtime::GenerateRequest chat(const std::string& text) {
    runtime::GenerateRequest request;
    runtime::PromptChat prompt;
    prompt.messages = {{"user", text}};
    request.prompt = std::move(prompt);
    request.meta.principal = "uid:1000";
    return request;
  }
  std::shared_ptr<Heard> submit(runtime::Request request,
                                runtime::RequestHandle* handle = nullptr) {
    auto heard = std::make_shared<Heard>();
    runtime::RequestHandle made = model_->submit(
        std::move(request), [heard](runtime::Event event) { heard->take(std::move(event)); });
    if (handle != nullptr) {
      *handle = made;
    }
    return heard;
  }
  Heard ask(runtime::Request request) {
    const auto heard = submit(std::move(request));
    EXPECT_TRUE(run_until([&heard] { return heard->over(); }));
    return *heard;
  }
  [[nodiscard]] EndpointView view(const std::string& name) const {
    for (EndpointView& one : upstreams_->view()) {
      if (one.name == name) {
        return one;
      }
    }
    return {};
  }

  test::TempDir dir_;
  boost::asio::io_context io_;
  boost::asio::thread_pool disk_{1};
  SystemClock clock_;
  SystemFileSystem fs_;
  UpstreamOptions options_;
  bool spill_ = false;
  std::uint32_t context_length_ = 0;
  std::vector<std::unique_ptr<FakeUpstream>> fakes_;
  std::unique_ptr<Upstreams> upstreams_;
  std::shared_ptr<runtime::LoadedModel> model_;
};

class EachServer : public UpstreamServers, public ::testing::WithParamInterface<ServerKind> {};

TEST_P(EachServer, StreamsAChat) {
  FakeUpstream& server = only(GetParam());
  const Heard heard = ask(chat("one two three"));
  ASSERT_TRUE(heard.done) << heard.failure->error.to_string();
  EXPECT_TRUE(heard.started);
  EXPECT_EQ(heard.text, "echo: one two three");
  EXPECT_EQ(heard.deltas, 4U);
  EXPECT_EQ(heard.done->reason, runtime::FinishReason::kStop);
  EXPECT_EQ(heard.done->served_by, "one/local");
  EXPECT_EQ(heard.done->usage.completion_tokens, 4U);
  EXPECT_GT(heard.done->usage.prompt_tokens, 0U) << "estimated where it is not told";
  EXPECT_EQ(server.count("no length"), 0);
  EXPECT_EQ(view("one").state, "up");
  EXPECT_EQ(view("one").answered, 1U);
}

TEST_P(EachServer, TellsWhyAPromptDoesNotFit) {
  only(GetParam());
  const Heard heard = ask(chat("TOOLONG"));
  ASSERT_TRUE(heard.failure);
  EXPECT_EQ(heard.failure->error.code(), Error::Code::kContextTooLong);
  EXPECT_FALSE(heard.failure->retryable);
  EXPECT_FALSE(heard.started);
  EXPECT_EQ(view("one").state, "up");
}

TEST_P(EachServer, IsCutOffInTheMiddleWithoutASecondTry) {
  FakeUpstream& server = only(GetParam());
  const Heard heard = ask(chat("CUT it off here please"));
  ASSERT_TRUE(heard.failure);
  EXPECT_EQ(heard.failure->error.code(), Error::Code::kUnavailable);
  EXPECT_FALSE(heard.failure->retryable) << "a part of the answer is out";
  EXPECT_TRUE(heard.started);
  EXPECT_EQ(server.count("CUT it off"), 1);
}

TEST_P(EachServer, HearsAtOnceThatTheClientIsGone) {
  FakeUpstream& server = only(GetParam());
  runtime::RequestHandle handle;
  const auto heard = submit(chat("ENDLESS"), &handle);
  ASSERT_TRUE(run_until([&heard] { return heard->deltas >= 3; }));
  const auto before = std::chrono::steady_clock::now();
  handle.cancel();
  ASSERT_TRUE(run_until([&heard] { return heard->over(); }));
  EXPECT_LT(std::chrono::steady_clock::now() - before, 10s);
  ASSERT_TRUE(heard->done);
  EXPECT_EQ(heard->done->reason, runtime::FinishReason::kCancelled);
  EXPECT_TRUE(run_until([&server] { return server.count("gone") == 1; }));
  EXPECT_EQ(view("one").in_flight, 0U);
  EXPECT_EQ(view("one").state, "up");
}

TEST_P(EachServer, CallsToolsOrSaysThatItCannot) {
  FakeUpstream& server = only(GetParam());
  runtime::GenerateRequest request = chat("TOOL please");
  std::get<runtime::PromptChat>(request.prompt).tools =
      R"([{"type":"function","function":{"name":"open","parameters":{"type":"object"}}}])";
  const Heard heard = ask(request);
  if (GetParam() == ServerKind::kFoundryLocal) {
    ASSERT_TRUE(heard.failure);
    EXPECT_EQ(heard.failure->error.code(), Error::Code::kUnimplemented);
    EXPECT_THAT(heard.failure->error.message(), HasSubstr("takes no tools"));
    EXPECT_EQ(server.count("POST"), 0);
    return;
  }
  ASSERT_TRUE(heard.done) << heard.failure->error.to_string();
  EXPECT_TRUE(heard.started);
  EXPECT_EQ(heard.reasoning, "hmm");
  EXPECT_THAT(heard.calls, ElementsAre(R"(open {"n": 1})", R"(open {"n": 2})"));
  EXPECT_EQ(heard.text, "");
  EXPECT_EQ(heard.done->reason, runtime::FinishReason::kStop);
  EXPECT_GT(heard.done->usage.completion_tokens, 0U);
  std::get<runtime::PromptChat>(request.prompt).rules.parallel = false;
  EXPECT_THAT(ask(request).calls, ElementsAre(R"(open {"n": 1})"));
}

INSTANTIATE_TEST_SUITE_P(Kinds,
                         EachServer,
                         ::testing::Values(ServerKind::kVllm,
                                           ServerKind::kMlxLm,
                                           ServerKind::kOllama,
                                           ServerKind::kFoundryLocal),
                         [](const auto& kind) { return std::string{to_string(kind.param)}; });

TEST_F(UpstreamServers, VllmTellsLogProbsStopStringsAndCachedTokens) {
  FakeUpstream& server = only(ServerKind::kVllm);
  runtime::GenerateRequest request = chat("STOP here END there");
  request.stop = {"END"};
  request.log_probs = 1;
  const Heard heard = ask(request);
  ASSERT_TRUE(heard.done) << heard.failure->error.to_string();
  EXPECT_EQ(heard.done->stop_match, "END");
  EXPECT_EQ(heard.done->usage.cached_tokens, 4U);
  EXPECT_EQ(heard.done->usage.prompt_tokens, 11U);
  ASSERT_EQ(heard.log_probs.size(), 4U) << "three words and the empty end";
  EXPECT_FLOAT_EQ(heard.log_probs[0].chosen.log_prob, -0.25F);
  // Principals do not share a prefix cache, and are not named.
  EXPECT_THAT(server.log(), HasSubstr("\"cache_salt\": \""));
  EXPECT_THAT(server.log(), Not(HasSubstr("uid:1000")));
}

TEST_F(UpstreamServers, MlxIsToldALimitThatItWouldSetLower) {
  only(ServerKind::kMlxLm);
  EXPECT_EQ(ask(chat("a b c d e f")).text, "echo: a b c d e f");
  runtime::GenerateRequest request = chat("a b c d e f");
  request.max_tokens = 3;
  const Heard heard = ask(request);
  ASSERT_TRUE(heard.done);
  EXPECT_EQ(heard.text, "echo: a b");
  EXPECT_EQ(heard.done->reason, runtime::FinishReason::kLength);
}

TEST_F(UpstreamServers, OllamaIsNotGivenAPromptThatItWouldCut) {
  context_length_ = 100;
  FakeUpstream& server = only(ServerKind::kOllama);
  const Heard heard = ask(chat(std::string(1000, 'x')));
  ASSERT_TRUE(heard.failure);
  EXPECT_EQ(heard.failure->error.code(), Error::Code::kContextTooLong);
  EXPECT_EQ(server.count("POST"), 0);
}

TEST_F(UpstreamServers, OllamaFailsInTheMiddle) {
  only(ServerKind::kOllama);
  const Heard heard = ask(chat("MIDERROR and more"));
  ASSERT_TRUE(heard.failure);
  EXPECT_THAT(heard.failure->error.message(), HasSubstr("llama runner process"));
  EXPECT_FALSE(heard.failure->retryable);
}

TEST_F(UpstreamServers, FoundryIsNotAskedForWhatItDoesNotHave) {
  FakeUpstream& server = only(ServerKind::kFoundryLocal);
  runtime::GenerateRequest request = chat("x");
  request.grammar = "root ::= \"a\"";
  const Heard heard = ask(request);
  ASSERT_TRUE(heard.failure);
  EXPECT_EQ(heard.failure->error.code(), Error::Code::kUnimplemented);
  EXPECT_THAT(heard.failure->error.message(), HasSubstr("grammar"));
  EXPECT_EQ(server.count("POST"), 0);
}

TEST_F(UpstreamServers, EmbeddingsComeInOrderAndOfLengthOne) {
  only(ServerKind::kOllama);
  runtime::EmbedRequest request;
  request.texts = {"a", "b"};
  const Heard heard = ask(request);
  ASSERT_TRUE(heard.embeddings) << heard.failure->error.to_string();
  EXPECT_THAT(heard.embeddings->vectors[0], ElementsAre(0.6F, 0.8F));
  EXPECT_EQ(heard.embeddings->vectors.size(), 2U);
  ASSERT_TRUE(heard.done);
  EXPECT_EQ(heard.done->usage.prompt_tokens, 7U);
}

TEST_F(UpstreamServers, AModelThatNobodyHasIsNotLoaded) {
  endpoint(fake("one", "vllm", {"--model", "other"}), ServerKind::kVllm);
  const Result<void> loaded = load();
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code(), Error::Code::kUnavailable);
  EXPECT_THAT(loaded.error().message(), HasSubstr("one: does not have \"m\""));
  EXPECT_EQ(load({Tier::kCloud}).error().code(), Error::Code::kUnimplemented);
}

TEST_F(UpstreamServers, FallsBackInTheSignedOrderAndComesBack) {
  FakeUpstream& laptop = fake("laptop", "ollama");
  FakeUpstream& gpu = fake("gpu", "vllm");
  endpoint(laptop, ServerKind::kOllama);
  // A fake cannot stand anywhere else; that http:// may not either is checked in `make`.
  endpoint(gpu, ServerKind::kVllm, Tier::kSite);
  options_.probe_interval = 200ms;
  ASSERT_TRUE(load({Tier::kLocal, Tier::kSite}));
  EXPECT_EQ(ask(chat("x")).done->served_by, "laptop/local");
  laptop.kill();
  const Heard other = ask(chat("x"));
  ASSERT_TRUE(other.done) << other.failure->error.to_string();
  EXPECT_EQ(other.done->served_by, "gpu/site");
  EXPECT_EQ(view("laptop").state, "down");
  gpu.kill();
  const Heard none = ask(chat("x"));
  ASSERT_TRUE(none.failure);
  EXPECT_EQ(none.failure->error.code(), Error::Code::kUnavailable);
  EXPECT_TRUE(none.failure->retryable);
  EXPECT_THAT(none.failure->error.message(), HasSubstr("gpu: "));
  EXPECT_THAT(none.failure->error.message(), Not(HasSubstr("127.0.0.1")));
  EXPECT_THAT(ask(chat("x")).failure->error.message(), Not(HasSubstr("127.0.0.1")));
  EXPECT_THAT(view("gpu").problem, HasSubstr("127.0.0.1"));
  EXPECT_EQ(model_->status().state, runtime::WorkerState::kBackOff);
  laptop.restart();
  boost::asio::co_spawn(io_, upstreams_->run(), [](const std::exception_ptr&) {});
  ASSERT_TRUE(run_until([this] { return view("laptop").state == "up"; }));
  EXPECT_EQ(ask(chat("x")).done->served_by, "laptop/local");
  EXPECT_EQ(model_->status().state, runtime::WorkerState::kReady);
  io_.stop();
}

TEST_F(UpstreamServers, AFailedRequestGoesToTheNextServerOnceNothingCame) {
  FakeUpstream& a = fake("a", "vllm");
  FakeUpstream& b = fake("b", "vllm");
  endpoint(a, ServerKind::kVllm);
  endpoint(b, ServerKind::kVllm);
  ASSERT_TRUE(load());
  const Heard heard = ask(chat("FAIL500"));
  ASSERT_TRUE(heard.failure);
  EXPECT_TRUE(heard.failure->retryable);
  EXPECT_EQ(a.count("FAIL500") + b.count("FAIL500"), 2);
  EXPECT_THAT(heard.failure->served_by, HasSubstr(", ")) << "both have seen the prompt";
  const Heard refused = ask(chat("TOOLONG"));
  ASSERT_TRUE(refused.failure);
  EXPECT_EQ(a.count("TOOLONG") + b.count("TOOLONG"), 1) << "it would fail anywhere";
}

TEST_F(UpstreamServers, WhoCannotBeReachedWasNotGivenTheRequest) {
  std::vector<FakeUpstream*> servers;
  for (const char* name : {"a", "b", "c", "d"}) {
    servers.push_back(&fake(name, "vllm"));
    endpoint(*servers.back(), ServerKind::kVllm);
  }
  options_.endpoints[3].max_concurrent = 1;  // the last choice
  ASSERT_TRUE(load());
  boost::asio::co_spawn(io_, upstreams_->run(), [](const std::exception_ptr&) {});
  ASSERT_TRUE(run_until([this] { return view("d").state == "up"; }));
  for (std::size_t i = 0; i < 3; ++i) {
    servers[i]->kill();
  }
  for (int i = 0; i < 4; ++i) {
    const Heard heard = ask(chat("x"));
    ASSERT_TRUE(heard.done) << heard.failure->error.to_string();
    EXPECT_EQ(heard.done->served_by, "d/local");
  }
  io_.stop();
}

TEST_F(UpstreamServers, AServersWordsAboutARequestAreNotItsState) {
  FakeUpstream& server = only(ServerKind::kVllm);
  const Heard heard = ask(chat("NOKEY my secret plan"));
  ASSERT_TRUE(heard.failure);
  EXPECT_THAT(heard.failure->error.message(), HasSubstr("my secret plan")) << "who asked may know";
  EXPECT_EQ(server.count("NOKEY"), 1);
  EXPECT_EQ(view("one").state, "down");
  EXPECT_EQ(view("one").problem, "the upstream refused our key");
}

TEST_F(UpstreamServers, TheFirstWordMayTakeLongerThanTheNext) {
  options_.idle_timeout = 1500ms;
  only(ServerKind::kVllm);
  const Heard heard = ask(chat("SLOWHEAD x"));
  ASSERT_TRUE(heard.done) << heard.failure->error.to_string();
  EXPECT_EQ(heard.text, "echo: SLOWHEAD x");
}

TEST_F(UpstreamServers, WhatCameBeforeItWasCancelledCounts) {
  only(ServerKind::kOllama);
  runtime::RequestHandle handle;
  const auto heard = submit(chat("ENDLESS"), &handle);
  ASSERT_TRUE(run_until([&heard] { return heard->deltas >= 3; }));
  handle.cancel();
  ASSERT_TRUE(run_until([&heard] { return heard->over(); }));
  ASSERT_TRUE(heard->done);
  EXPECT_EQ(heard->done->usage.completion_tokens, heard->deltas);
  EXPECT_GT(heard->done->usage.prompt_tokens, 0U);
  EXPECT_EQ(view("one").answered, 0U) << "a client that goes says nothing about the server";
  EXPECT_EQ(view("one").failed, 0U);
}

TEST_F(UpstreamServers, ARequestThatComesAfterTheEndIsTold) {
  only(ServerKind::kVllm);
  bool stopped = false;
  boost::asio::co_spawn(
      io_, upstreams_->stop(), [&stopped](const std::exception_ptr&) { stopped = true; });
  ASSERT_TRUE(run_until([&stopped] { return stopped; }));
  const Heard heard = ask(chat("x"));
  ASSERT_TRUE(heard.failure);
  EXPECT_EQ(heard.failure->error.code(), Error::Code::kCancelled);
  EXPECT_EQ(model_->status().in_flight, 0U);
}

TEST_F(UpstreamServers, TheLeastLoadedAnswersAlsoByWhatOthersDo) {
  endpoint(fake("busy", "vllm", {"--load", "30"}), ServerKind::kVllm);
  endpoint(fake("idle", "vllm", {"--load", "1"}), ServerKind::kVllm);
  ASSERT_TRUE(load());
  boost::asio::co_spawn(io_, upstreams_->run(), [](const std::exception_ptr&) {});
  ASSERT_TRUE(
      run_until([this] { return view("idle").state == "up" && view("busy").state == "up"; }));
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(ask(chat("x")).done->served_by, "idle/local");
  }
  io_.stop();
}

TEST_F(UpstreamServers, WhoFindsNoRoomWaitsOrIsSentOn) {
  FakeUpstream& laptop = fake("laptop", "ollama");
  endpoint(laptop, ServerKind::kOllama).max_concurrent = 1;
  options_.max_waiting = 1;
  ASSERT_TRUE(load());
  runtime::RequestHandle handle;
  const auto running = submit(chat("ENDLESS"), &handle);
  ASSERT_TRUE(run_until([&running] { return running->deltas > 0; }));
  const auto waiting = submit(chat("second"));
  runtime::GenerateRequest hurried = chat("third");
  hurried.meta.deadline = clock_.boot_now() + 300ms;
  const auto refused = submit(hurried);
  ASSERT_TRUE(run_until([&refused] { return refused->over(); }));
  EXPECT_EQ(refused->failure->error.code(), Error::Code::kQueueFull);
  EXPECT_FALSE(waiting->over());
  handle.cancel();
  ASSERT_TRUE(run_until([&waiting] { return waiting->over(); }));
  ASSERT_TRUE(waiting->done);
  EXPECT_EQ(waiting->text, "echo: second");
}

TEST_F(UpstreamServers, ADeadlineEndsAnAnswerThatDoesNotCome) {
  only(ServerKind::kVllm);
  runtime::GenerateRequest request = chat("HANG");
  request.meta.deadline = clock_.boot_now() + 300ms;
  const Heard heard = ask(request);
  ASSERT_TRUE(heard.failure);
  EXPECT_EQ(heard.failure->error.code(), Error::Code::kDeadlineExceeded);
  EXPECT_EQ(view("one").state, "up") << "a hurried client says nothing about the server";
}

TEST_F(UpstreamServers, TheKeyIsReadFromItsFileAndToldToNobodyElse) {
  const auto file = dir_ / "key";
  std::ofstream{file} << "s3cret\n";
  FakeUpstream& server = fake("one", "vllm", {"--key", "s3cret"});
  endpoint(server, ServerKind::kVllm).api_key_file = file;
  ASSERT_TRUE(load());
  EXPECT_TRUE(ask(chat("x")).done);
  EXPECT_THAT(server.log(), HasSubstr("Bearer s3cret"));
  // A new key counts without a restart, also when it is wrong.
  std::ofstream{file} << "0ther\n";
  const Heard heard = ask(chat("x"));
  ASSERT_TRUE(heard.failure);
  EXPECT_THAT(heard.failure->error.message(), HasSubstr("refused our key"));
  EXPECT_THAT(heard.failure->error.message(), Not(HasSubstr("0ther")));
  EXPECT_EQ(view("one").state, "down");
}

TEST_F(UpstreamServers, WhereAKeyLiesIsToldToAdministratorsAlone) {
  const auto file = dir_ / "key";
  std::ofstream{file} << "s3cret\n";
  FakeUpstream& server = fake("one", "vllm", {"--key", "s3cret"});
  endpoint(server, ServerKind::kVllm).api_key_file = file;
  ASSERT_TRUE(load());
  std::filesystem::remove(file);
  const Heard heard = ask(chat("x"));
  ASSERT_TRUE(heard.failure);
  EXPECT_EQ(heard.failure->error.code(), Error::Code::kUnavailable);
  EXPECT_THAT(heard.failure->error.message(), Not(HasSubstr(file.string())));
  EXPECT_THAT(view("one").problem, HasSubstr("the key"));
  EXPECT_EQ(heard.failure->served_by, "") << "it was given to nobody";
  EXPECT_EQ(server.count("POST"), 0);
}

TEST_F(UpstreamServers, TlsIsVerifiedAgainstTheConfiguredAuthority) {
  const std::string cert = (dir_ / "cert.pem").string();
  const std::string key = (dir_ / "key.pem").string();
  const std::string command =
      "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "
      "/CN=fake -addext subjectAltName=IP:127.0.0.1 -keyout " +
      key + " -out " + cert + " 2>/dev/null";
  ASSERT_EQ(std::system(command.c_str()), 0);  // NOLINT(concurrency-mt-unsafe)
  FakeUpstream& server = fake("one", "vllm", {"--tls", cert, key});
  EndpointOptions& trusted = endpoint(server, ServerKind::kVllm, Tier::kSite);
  trusted.url = server.url("https");
  trusted.ca_file = cert;
  EndpointOptions& other = endpoint(server, ServerKind::kVllm, Tier::kCloud);
  other.name = "untrusted";
  other.url = server.url("https");
  ASSERT_TRUE(load({Tier::kSite}));
  const Heard heard = ask(chat("over tls"));
  ASSERT_TRUE(heard.done) << heard.failure->error.to_string();
  EXPECT_EQ(heard.text, "echo: over tls");
  const Result<void> distrusted = load({Tier::kCloud});
  ASSERT_FALSE(distrusted);
  EXPECT_THAT(distrusted.error().message(), HasSubstr("certificate verify failed"));
}

struct Wrong {
  const char* url;
  Tier tier;
  bool insecure;
  const char* key;
  const char* says;
};

class UpstreamOptionsCheck : public ::testing::TestWithParam<Wrong> {};

TEST_P(UpstreamOptionsCheck, RefusesWhatCouldBeReadOnTheWay) {
  UpstreamOptions options;
  EndpointOptions& one = options.endpoints.emplace_back();
  one.name = "x";
  one.url = GetParam().url;
  one.tier = GetParam().tier;
  one.insecure_http = GetParam().insecure;
  one.api_key_file = GetParam().key;
  const Result<void> checked = check_options(options);
  if (*GetParam().says == '\0') {
    EXPECT_TRUE(checked) << checked.error().to_string();
  } else {
    ASSERT_FALSE(checked);
    EXPECT_THAT(checked.error().message(), HasSubstr(GetParam().says));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Table,
    UpstreamOptionsCheck,
    ::testing::Values(Wrong{"http://127.0.0.1:11434/v1", Tier::kLocal, false, "/k", ""},
                      Wrong{"http://localhost:11434/v1", Tier::kLocal, false, "", ""},
                      Wrong{"http://[::1]:11434/v1", Tier::kLocal, false, "", ""},
                      Wrong{"http://10.0.0.4:8000/v1", Tier::kLocal, true, "", "this machine"},
                      Wrong{"http://127.evil.example/v1", Tier::kLocal, true, "", "this machine"},
                      Wrong{"http://127.evil.example/v1", Tier::kSite, true, "/k", "a key is not"},
                      Wrong{"http://10.0.0.4:8000/v1", Tier::kSite, false, "", "insecure_http"},
                      Wrong{"http://10.0.0.4:8000/v1", Tier::kSite, true, "", ""},
                      Wrong{
                          "http://10.0.0.4:8000/v1", Tier::kSite, true, "/k", "a key is not sent"},
                      Wrong{"http://api.example/v1", Tier::kCloud, true, "", "https://"},
                      Wrong{"https://api.example/v1", Tier::kCloud, false, "/k", ""},
                      Wrong{"api.example", Tier::kCloud, false, "", "url: "}));

TEST(UpstreamOptionsNames, AreUnique) {
  UpstreamOptions options;
  for (int i = 0; i < 2; ++i) {
    EndpointOptions& one = options.endpoints.emplace_back();
    one.name = "x";
    one.url = "https://a/v1";
    one.tier = Tier::kCloud;
  }
  EXPECT_THAT(check_options(options).error().message(), HasSubstr("two of this name"));
}

}  // namespace
}  // namespace skerry::agent::upstream
