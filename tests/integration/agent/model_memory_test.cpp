// Which models the daemon keeps in memory: preloaded, pinned, idle, and what the machine has no
// room for.

#include <chrono>
#include <string>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "daemon_harness.hpp"

namespace skerry::agent {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class ModelMemory : public ::testing::Test {
 protected:
  [[nodiscard]] std::string ask(const std::string& model) const {
    return test::http(
        daemon_.socket("http"),
        test::post("/v1/chat/completions",
                   R"({"model":")" + model + R"(","messages":[{"role":"user","content":"hi"}]})"));
  }
  void wait_for(const std::string& line) const {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds{30};
    while (daemon_.log().find(line) == std::string::npos) {
      ASSERT_LT(std::chrono::steady_clock::now(), end) << line << "\n" << daemon_.log();
      std::this_thread::sleep_for(std::chrono::milliseconds{10});
    }
  }
  test::DaemonHarness daemon_;
};

TEST_F(ModelMemory, WhatIsPreloadedWaitsForNobody) {
  daemon_.activate_echo("1.0.0", 1);
  daemon_.start("[memory]\npreload = [\"default\", \"none\"]");
  wait_for("event=model.loaded model=acme/echo version=1.0.0");
}

TEST_F(ModelMemory, APreloadThatFailsIsTold) {
  daemon_.activate_echo("1.0.0", 1);
  daemon_.start("[memory]\npreload = [\"default\"]\nbudget = \"512KiB\"");
  wait_for("event=model.preload_failed");
  EXPECT_THAT(daemon_.log(), HasSubstr("slot default, acme/echo"));
}

TEST_F(ModelMemory, AMachineThatHasTooLittleLeftRefuses) {
  daemon_.activate_echo("1.0.0", 1);
  daemon_.start("[memory]\nreserve = \"1000000GiB\"");
  const std::string answer = ask("default");
  EXPECT_THAT(answer, HasSubstr("HTTP/1.1 503"));
  EXPECT_THAT(answer, HasSubstr("memory.reserve"));
}

// Both were idle for long enough in the same round: only the one without a pin leaves.
TEST_F(ModelMemory, APinnedModelStaysHoweverIdleItIs) {
  daemon_.activate_echo("1.0.0", 1);
  daemon_.activate_echo("2.0.0", 2, {}, "other");
  daemon_.start("[memory]\npinned = [\"default\"]", "", "idle_unload = \"200ms\"");
  EXPECT_THAT(ask("default"), HasSubstr("200 OK"));
  EXPECT_THAT(ask("other"), HasSubstr("200 OK"));
  wait_for("event=model.unloading model=acme/echo version=2.0.0 reason=idle");
  EXPECT_THAT(daemon_.log(), Not(HasSubstr("event=model.unloading model=acme/echo version=1.0.0")));
}

// Room for one: who is pinned stays, and says so.
TEST_F(ModelMemory, APinnedModelDoesNotMakeRoom) {
  daemon_.activate_echo("1.0.0", 1);
  daemon_.activate_echo("2.0.0", 2, {}, "other");
  daemon_.start("[memory]\nbudget = \"1536KiB\"\npinned = [\"default\"]");
  EXPECT_THAT(ask("other"), HasSubstr("200 OK"));
  EXPECT_THAT(ask("default"), HasSubstr("200 OK"));
  wait_for("event=model.unloading model=acme/echo version=2.0.0");
  EXPECT_THAT(ask("other"), HasSubstr("pinned"));
  EXPECT_THAT(ask("default"), HasSubstr("200 OK"));
}

}  // namespace
}  // namespace skerry::agent
