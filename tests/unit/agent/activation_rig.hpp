#pragma once

// A slot manager with everything real but the engine: a signed repository in a folder, the registry
// on disk, and a supervisor that answers as the test says. Used by slot_manager_test.cpp.

#include <atomic>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <gtest/gtest.h>

#include "skerry/agent/slot_manager.hpp"
#include "skerry/agent/upstreams.hpp"
#include "skerry/security/tuf/repository.hpp"

#include "registry_fixtures.hpp"
#include "temp_dir.hpp"

namespace skerry::test {

// Answers each prompt by a function; dies when told to.
class FakeModel final : public runtime::LoadedModel {
 public:
  FakeModel(boost::asio::any_io_executor executor,
            Digest digest,
            std::function<std::string(const std::string&)> answer)
      : executor_(std::move(executor)), answer_(std::move(answer)) {
    info_.digest = digest;
    info_.plugin = "null";
    info_.can_generate = true;
  }
  [[nodiscard]] const runtime::ModelInfo& info() const override { return info_; }
  [[nodiscard]] runtime::WorkerStatus status() const override { return {}; }
  runtime::RequestHandle submit(runtime::Request request, runtime::EventSink sink) override {
    const auto& generate = std::get<runtime::GenerateRequest>(request);
    const std::string text = answer_(std::get<runtime::Prompt>(generate.prompt).text);
    boost::asio::post(executor_, [sink = std::move(sink), text] {
      sink(runtime::Started{});
      sink(runtime::TextDelta{text, {1}, {}});
      sink(runtime::Done{});
    });
    return {};
  }
  Task<void> unload(std::chrono::milliseconds) override { co_return; }

 private:
  boost::asio::any_io_executor executor_;
  std::function<std::string(const std::string&)> answer_;
  runtime::ModelInfo info_;
};

class FakeSupervisor final : public runtime::Supervisor {
 public:
  explicit FakeSupervisor(boost::asio::any_io_executor executor) : executor_(std::move(executor)) {}
  Task<Result<std::shared_ptr<runtime::LoadedModel>>> load(runtime::LoadSpec spec) override {
    ++loads;
    if (load_error) {
      co_return *load_error;
    }
    if (broken_loads > 0) {
      --broken_loads;
      co_return Error(Error::Code::kWorkerLost, "killed by signal 6");
    }
    std::shared_ptr<runtime::LoadedModel> model =
        std::make_shared<FakeModel>(executor_, spec.model, answer);
    co_return model;
  }
  [[nodiscard]] std::vector<std::shared_ptr<runtime::LoadedModel>> models() const override {
    return {};
  }
  Task<void> stop(std::chrono::milliseconds) override { co_return; }

  std::function<std::string(const std::string&)> answer = [](const std::string& prompt) {
    return prompt;
  };
  std::optional<Error> load_error;
  // So many loads fail first.
  int broken_loads = 0;
  int loads = 0;

 private:
  boost::asio::any_io_executor executor_;
};

// Servers that are well, or away for a reason.
class FakeUpstreams final : public agent::upstream::Upstreams {
 public:
  explicit FakeUpstreams(boost::asio::any_io_executor executor) : executor_(std::move(executor)) {}
  Task<void> run() override { co_return; }
  Task<Result<std::shared_ptr<runtime::LoadedModel>>> load(Digest model,
                                                           agent::upstream::Spec spec) override {
    asked.push_back(std::move(spec));
    if (away) {
      co_return *away;
    }
    std::shared_ptr<runtime::LoadedModel> made = std::make_shared<FakeModel>(
        executor_, model, [](const std::string& prompt) { return prompt; });
    co_return made;
  }
  Task<void> stop() override { co_return; }
  [[nodiscard]] std::vector<agent::upstream::EndpointView> view() const override { return {}; }

  std::optional<Error> away;
  std::vector<agent::upstream::Spec> asked;

 private:
  boost::asio::any_io_executor executor_;
};

// The publisher's side: keys, repository, blobs.
class Publisher {
 public:
  explicit Publisher(const std::filesystem::path& folder) : folder_(folder) {
    using security::KeyAlgorithm;
    key_ = *security::make_memory_signer(KeyAlgorithm::kEd25519);
    security::tuf::RootSetup setup;
    for (auto* role : {&setup.root, &setup.targets, &setup.snapshot, &setup.timestamp}) {
      role->keys = {key_->public_key()};
    }
    auto made = security::tuf::Repository::init(fs_, folder_, setup, {}, clock_.wall_now());
    EXPECT_TRUE(made) << made.error().to_string();
    repository_ = *std::move(made);
    publish();
  }

  // Signs a version of acme/echo whose golden set expects `golden` for "ping".
  std::string release(const std::string& version,
                      std::uint64_t counter,
                      const std::string& golden = "ping",
                      const std::vector<std::string>& variants = {"raw"},
                      const Json& custom = Json{Json::Object{}}) {
    const std::string cases =
        "{\"prompt\":\"ping\",\"expect\":\"" + golden + "\",\"match\":\"exact\"}\n";
    const ByteView bytes = as_bytes(cases);
    const registry::ChunkIndex index = index_of(bytes, registry::kMinChunkSize);
    std::vector<registry::Variant> made;
    for (const std::string& name : variants) {
      const SampleFile weights = make_file(registry::FileRole::kWeights,
                                           name + ".bin",
                                           600'000 + counter,
                                           counter + 1000 * made.size());
      registry::Variant& variant = made.emplace_back();
      variant.name = name;
      variant.format = "null";
      variant.needs.runtime = "null";
      variant.needs.ram_bytes = 1000;
      variant.files = {weights.entry};
      put(weights.bytes);
      put(weights.index.serialise());
    }
    registry::Manifest manifest = make_manifest(version, counter, made);
    manifest.model = {"acme", "echo"};
    manifest.shared = {{registry::FileRole::kGolden,
                        "golden.jsonl",
                        Digest::of(bytes),
                        bytes.size(),
                        registry::kMinChunkSize,
                        index.digest()}};
    manifest.activation.probation_seconds = 0;
    auto text = manifest.serialise();
    EXPECT_TRUE(text) << text.error().to_string();
    put(Bytes{bytes.begin(), bytes.end()});
    put(index.serialise());
    put(Bytes{text->begin(), text->end()});
    auto added = repository_->add_target_content(
        manifest.target_path(), *text, custom, {}, clock_.wall_now());
    EXPECT_TRUE(added) << added.error().to_string();
    publish();
    return manifest.target_path();
  }

  // Signs a version of acme/echo that servers answer, as `description` says; without a golden set.
  std::string release_upstream(const std::string& version,
                               std::uint64_t counter,
                               const std::string& description) {
    const ByteView bytes = as_bytes(description);
    const registry::ChunkIndex index = index_of(bytes, registry::kMinChunkSize);
    registry::Variant variant;
    variant.name = "upstream";
    variant.format = "openai";
    variant.needs.runtime = "openai";
    variant.needs.ram_bytes = 1000;
    variant.files = {{registry::FileRole::kWeights,
                      "upstream.json",
                      Digest::of(bytes),
                      bytes.size(),
                      registry::kMinChunkSize,
                      index.digest()}};
    registry::Manifest manifest = make_manifest(version, counter, {variant});
    manifest.model = {"acme", "echo"};
    manifest.activation.probation_seconds = 0;
    auto text = manifest.serialise();
    EXPECT_TRUE(text) << text.error().to_string();
    put(Bytes{bytes.begin(), bytes.end()});
    put(index.serialise());
    put(Bytes{text->begin(), text->end()});
    auto added = repository_->add_target_content(
        manifest.target_path(), *text, Json{Json::Object{}}, {}, clock_.wall_now());
    EXPECT_TRUE(added) << added.error().to_string();
    publish();
    return manifest.target_path();
  }

  // Trusts this publisher's key with `paths` under another role's name.
  void delegate(const std::string& role, const std::vector<std::string>& paths) {
    security::tuf::DelegationSetup setup;
    setup.name = role;
    setup.keys = {{key_->public_key()}, 1};
    setup.paths = paths;
    auto done = repository_->delegate(setup, {}, clock_.wall_now());
    EXPECT_TRUE(done) << done.error().to_string();
    publish_staged();
  }
  // Lists a document under `path` in the role's metadata, signs and publishes it.
  void document(const std::string& path,
                const std::string& bytes,
                const std::string& role = "security") {
    security::tuf::TargetFile target;
    target.length = bytes.size();
    target.hashes["sha256"] = Digest::of(bytes).hex();
    target.custom = Json{Json::Object{}};
    put(Bytes{bytes.begin(), bytes.end()});
    auto added =
        repository_->add_target(path, target, {}, clock_.wall_now(), security::tuf::RoleName{role});
    EXPECT_TRUE(added) << added.error().to_string();
    publish_staged();
  }

  [[nodiscard]] std::string root() const { return *repository_->current_root(); }
  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }

 private:
  void put(const Bytes& bytes) {
    const std::string hex = Digest::of(bytes).hex();
    const auto path = folder_ / "blobs" / "sha256" / hex.substr(0, 2);
    ASSERT_TRUE(fs_.create_directories(path, 0750));
    ASSERT_TRUE(write_file_atomic(fs_, path / hex, as_text(bytes)));
  }
  void publish_staged() {
    auto roles = repository_->staged_roles();
    ASSERT_TRUE(roles);
    for (const auto& role : *roles) {
      auto done = repository_->sign(role, *key_);
      EXPECT_TRUE(done) << role.text() << done.error().to_string();
    }
    auto done = repository_->publish(*key_, *key_, {}, clock_.wall_now());
    EXPECT_TRUE(done) << done.error().to_string();
  }
  void publish() {
    // Root is staged only the first time.
    static_cast<void>(repository_->sign(security::tuf::Role::kRoot, *key_).has_value());
    auto signed_targets = repository_->sign(security::tuf::Role::kTargets, *key_);
    EXPECT_TRUE(signed_targets) << signed_targets.error().to_string();
    auto done = repository_->publish(*key_, *key_, {}, clock_.wall_now());
    EXPECT_TRUE(done) << done.error().to_string();
  }

  SystemFileSystem fs_;
  SystemClock clock_;
  std::filesystem::path folder_;
  std::unique_ptr<security::Signer> key_;
  std::unique_ptr<security::tuf::Repository> repository_;
};

// One run of the daemon's activation half over a state folder; a second run over the same folder
// is a restart.
class Node {
  // First, so that it outlives what waits on it.
  boost::asio::io_context io_;
  boost::asio::thread_pool pool_{2};

 public:
  Node(const std::filesystem::path& state, const Publisher& publisher)
      : tasks_(io_.get_executor(),
               [](const std::string& task, const std::string& what) {
                 ADD_FAILURE() << task << ": " << what;
               }),
        core_{io_.get_executor(),
              pool_.get_executor(),
              [this] { return boost::asio::any_io_executor{pool_.get_executor()}; },
              clock_,
              fs_,
              random_,
              Log{},
              settings(state),
              tasks_} {
    EXPECT_TRUE(fs_.create_directories(state / "plugins", 0750));
    EXPECT_TRUE(write_file_atomic(fs_, state / "plugins" / "skerry-null.so", "x"));
    catalogue_ = *registry::Catalogue::open(state / "registry.db", clock_);
    store_ = *registry::BlobStore::open(fs_, *catalogue_, clock_, state);
    key_ = *security::make_memory_signer(security::KeyAlgorithm::kEd25519);
    security::AuditOptions audit;
    audit.directory = state / ("audit-" + random_.hex(4));
    audit.origin = "test/log";
    log_ = *security::AuditLog::open(fs_, audit, key_, clock_);
    writer_ = std::make_unique<agent::AuditWriter>(core_, *log_);
    supervisor = std::make_unique<FakeSupervisor>(io_.get_executor());
    host = std::make_unique<agent::ModelHost>(core_, *catalogue_, *store_, *supervisor, 1U << 20U);
    upstreams = std::make_unique<FakeUpstreams>(io_.get_executor());
    host->use_upstreams(*upstreams);
    installer = std::make_unique<agent::Installer>(core_, *catalogue_, *store_, time_, 1U << 20U);
    EXPECT_TRUE(installer->bootstrap_trust(publisher.root()));
    security = std::make_unique<agent::SecurityTargets>(
        core_, *writer_, *catalogue_, time_, [] { return std::string{"gw-1"}; });
    installer->set_security(security.get());
    host->set_gate([this](const agent::ServedModel& model) {
      return security->may_run(*model.manifest, model.variant.name);
    });
    security->on_change([this] { slots->enforce(); });
    slots = std::make_unique<agent::SlotManager>(core_, *installer, *host, *writer_);
    source = agent::make_folder_source(fs_, publisher.folder());
  }
  ~Node() {
    pool_.join();
    // Before the clock that they ask as they go.
    slots.reset();
    installer.reset();
    host.reset();
  }

  // Runs until `done` says so (asked at each report), then stops everything as a restart would.
  void run(std::function<void(Node&)> start, std::function<bool(const agent::SlotView&)> done) {
    slots->on_report([this, done](const agent::SlotView& view) {
      seen.push_back(view.record.state);
      if (done(view)) {
        stopping_ = true;
        io_.stop();
      }
    });
    boost::asio::co_spawn(
        io_, begin(std::move(start)), [](std::exception_ptr error) { EXPECT_FALSE(error); });
    io_.run_for(std::chrono::seconds{60});
    EXPECT_TRUE(stopping_) << "the expected state was not reached";
    slots->on_report({});
    io_.restart();
    boost::asio::co_spawn(io_, finish(), [](std::exception_ptr error) { EXPECT_FALSE(error); });
    io_.run();
  }

  [[nodiscard]] registry::Catalogue& catalogue() { return *catalogue_; }
  // Every record of this run.
  [[nodiscard]] std::string audit_records() {
    std::string all;
    auto entries = log_->read(0, 10'000);
    EXPECT_TRUE(entries);
    for (const auto& entry : *entries) {
      all += entry.record + "\n";
    }
    return all;
  }

  std::unique_ptr<FakeSupervisor> supervisor;
  std::unique_ptr<FakeUpstreams> upstreams;
  std::unique_ptr<agent::ModelHost> host;
  std::unique_ptr<agent::Installer> installer;
  std::unique_ptr<agent::SecurityTargets> security;
  // Somebody vouches for the clock.
  std::atomic<bool> vouched{false};
  std::unique_ptr<agent::SlotManager> slots;
  std::shared_ptr<agent::ModelSource> source;
  std::vector<agent::activation::State> seen;

 private:
  static std::shared_ptr<const agent::Settings> settings(const std::filesystem::path& state) {
    auto config =
        agent::parse_config("state_dir = \"" + state.string() + "\"\n[runtime]\nplugin_dir = \"" +
                                (state / "plugins").string() +
                                "\"\n[activation]\ndisk_reserve = 0\n"
                                "probation_seconds = 0\nprobation_requests = 0\n"
                                "[sync]\nbackoff_first = \"10ms\"\n"
                                "backoff_longest = \"20ms\"\n"
                                "[[upstream.endpoint]]\nname = \"gpu\"\ntier = \"site\"\n"
                                "url = \"https://gpu/v1\"\n",
                            "test.toml");
    EXPECT_TRUE(config) << config.error().to_string();
    auto made = agent::finalize(*config, agent::Environment{"/nowhere", "test", false});
    EXPECT_TRUE(made) << made.error().to_string();
    return std::make_shared<const agent::Settings>(*made);
  }

  Task<void> begin(std::function<void(Node&)> start) {
    Result<void> refreshed = co_await host->refresh();
    EXPECT_TRUE(refreshed);
    Result<void> restored = co_await slots->restore();
    EXPECT_TRUE(restored) << restored.error().to_string();
    slots->set_source(source);
    start(*this);
  }
  Task<void> finish() {
    co_await slots->stop();
    co_await tasks_.stop();
  }

  SystemClock clock_;
  agent::DeviceTime time_{clock_, WallTime{}, [this] { return vouched.load(); }};
  SystemFileSystem fs_;
  SystemRandom random_;
  async::TaskGroup tasks_;
  agent::Core core_;
  std::unique_ptr<registry::Catalogue> catalogue_;
  std::unique_ptr<registry::BlobStore> store_;
  std::shared_ptr<const security::Signer> key_;
  std::unique_ptr<security::AuditLog> log_;
  std::unique_ptr<agent::AuditWriter> writer_;
  bool stopping_ = false;
};

}  // namespace skerry::test
