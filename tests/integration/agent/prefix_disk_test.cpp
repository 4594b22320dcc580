// Kept prefixes over the lives of a daemon: skerryd as a process, with the null engine.

#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include <gmock/gmock.h>
#include <sys/stat.h>

#include "skerry/inference/v1/inference.grpc.pb.h"

#include "daemon_harness.hpp"

namespace skerry {
namespace {

namespace pb = inference::v1;
using test::DaemonHarness;
using ::testing::HasSubstr;
using ::testing::Not;

class PrefixDisk : public ::testing::Test {
 protected:
  // Reading a prompt takes long enough for its state to be worth something.
  PrefixDisk() { daemon_.activate_echo("1.0.0", 1, {{"step_ms", "40"}}); }

  // The harness waits for what the log says: each life has one of its own.
  void stop(int signal = SIGTERM) {
    daemon_.process().stop(signal);
    EXPECT_THAT(daemon_.log(), Not(HasSubstr("level=error")));
    std::filesystem::remove(daemon_.dir() / "log");
  }
  pb::Done ask(const std::string& text) {
    auto stub = pb::InferenceService::NewStub(daemon_.channel("api"));
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds{30});
    pb::GenerateRequest request;
    request.set_model("default");
    request.set_prompt(text);
    request.set_max_tokens(2);
    auto reader = stub->Generate(&context, request);
    pb::Done done;
    std::string answer;
    for (pb::GenerateEvent event; reader->Read(&event);) {
      answer += event.has_delta() ? event.delta().text() : "";
      done = event.has_done() ? event.done() : done;
    }
    const grpc::Status status = reader->Finish();
    EXPECT_TRUE(status.ok()) << status.error_message() << daemon_.log();
    EXPECT_EQ(answer, text.substr(0, 2));
    return done;
  }
  void wait_for(const std::string& metric, double value) {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds{30};
    while (daemon_.metric(metric) < value) {
      ASSERT_LT(std::chrono::steady_clock::now(), limit) << metric << daemon_.log();
      std::this_thread::sleep_for(std::chrono::milliseconds{20});
    }
  }
  [[nodiscard]] std::vector<std::filesystem::path> files() const {
    std::vector<std::filesystem::path> found;
    for (const auto& entry : std::filesystem::directory_iterator{daemon_.state() / "prefixes"}) {
      found.push_back(entry.path());
    }
    return found;
  }

  DaemonHarness daemon_;
  const std::string text_ = std::string(400, 'x');
};

TEST_F(PrefixDisk, AnotherLifeOfTheDaemonGoesOnFromIt) {
  daemon_.start();
  EXPECT_EQ(ask(text_).usage().cached_tokens(), 0U);
  wait_for("skerry_prefix_disk_saved_total", 1);
  EXPECT_GT(daemon_.metric("skerry_prefix_disk_bytes"), 0);
  ASSERT_EQ(files().size(), 1U);
  struct stat status {};
  ASSERT_EQ(::stat(files()[0].c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  stop();

  daemon_.start();
  EXPECT_EQ(ask(text_ + "tail").usage().cached_tokens(), 384U);
  EXPECT_EQ(daemon_.metric("skerry_prefix_disk_hits_total"), 1);
  EXPECT_EQ(daemon_.metric("vllm:prefix_cache_hits_total"), 384);
  stop(SIGKILL);

  // Not even a kill is in the way, and a changed file is only a prompt that is computed.
  daemon_.start();
  EXPECT_EQ(ask(text_ + "tail").usage().cached_tokens(), 384U);
  stop();
  {
    std::fstream file{files().at(0), std::ios::binary | std::ios::in | std::ios::out};
    file.seekp(100);
    file.put('?');
    file.put('!');
  }
  daemon_.start();
  EXPECT_EQ(ask(text_ + "tail").usage().cached_tokens(), 0U);
  EXPECT_GE(daemon_.metric("skerry_prefix_disk_dropped_total"), 1);
}

TEST_F(PrefixDisk, ZeroKeepsNothingAndRemovesWhatIsThere) {
  daemon_.start();
  ask(text_);
  wait_for("skerry_prefix_disk_saved_total", 1);
  stop();
  EXPECT_FALSE(files().empty());
  daemon_.start({}, {}, "prefix_cache_disk = \"0\"\n");
  EXPECT_EQ(ask(text_ + "tail").usage().cached_tokens(), 0U);
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds{30};
  while (!files().empty()) {
    ASSERT_LT(std::chrono::steady_clock::now(), limit);
    std::this_thread::sleep_for(std::chrono::milliseconds{20});
  }
}

TEST_F(PrefixDisk, WithAnEncryptedStoreTheirKeyIsTheStores) {
  const std::string storage = "[storage]\nencryption = \"on\"\nencryption_key = \"file:" +
                              (daemon_.dir() / "store.pem").string() + "\"\n";
  daemon_.start(storage);
  ask(text_);
  wait_for("skerry_prefix_disk_saved_total", 1);
  EXPECT_FALSE(std::filesystem::exists(daemon_.state() / "keys" / "prefixes.key"));
  stop();
  daemon_.start(storage);
  EXPECT_EQ(ask(text_ + "tail").usage().cached_tokens(), 384U);
}

}  // namespace
}  // namespace skerry
