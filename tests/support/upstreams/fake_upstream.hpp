#pragma once

// A fake server of tests/support/upstreams/fake_upstream.py as a child process on a loopback port.
// SKERRY_FAKE_UPSTREAM is the script's path.

#include <chrono>
#include <filesystem>
#include <fstream>
#include <signal.h>
#include <spawn.h>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <sys/wait.h>

extern char** environ;

namespace skerry::test {

class FakeUpstream {
 public:
  FakeUpstream(const std::filesystem::path& folder,
               std::string name,
               const std::string& kind,
               std::vector<std::string> more = {})
      : name_(std::move(name)),
        log_(folder / (name_ + ".log")),
        port_file_(folder / (name_ + ".port")),
        kind_(kind),
        more_(std::move(more)) {
    start("0");
  }
  ~FakeUpstream() { kill(); }
  FakeUpstream(const FakeUpstream&) = delete;
  FakeUpstream& operator=(const FakeUpstream&) = delete;

  void kill() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(std::exchange(pid_, -1), nullptr, 0);
    }
  }
  // On the port it had.
  void restart() {
    kill();
    start(port_);
  }

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] std::string url(const std::string& scheme = "http") const {
    return scheme + "://127.0.0.1:" + port_ + "/v1";
  }
  [[nodiscard]] std::string log() const {
    std::ifstream file{log_};
    return {std::istreambuf_iterator<char>{file}, std::istreambuf_iterator<char>{}};
  }
  // Times that `text` stands in the log.
  [[nodiscard]] int count(const std::string& text) const {
    const std::string all = log();
    int times = 0;
    for (std::size_t at = all.find(text); at != std::string::npos; at = all.find(text, at + 1)) {
      ++times;
    }
    return times;
  }

 private:
  void start(const std::string& port) {
    std::filesystem::remove(port_file_);
    std::vector<std::string> command{
        "/usr/bin/python3", SKERRY_FAKE_UPSTREAM, kind_, "--port", port};
    command.insert(command.end(), {"--port-file", port_file_.string(), "--log", log_.string()});
    command.insert(command.end(), more_.begin(), more_.end());
    std::vector<char*> argv;
    for (std::string& part : command) {
      argv.push_back(part.data());
    }
    argv.push_back(nullptr);
    ASSERT_EQ(::posix_spawn(&pid_, argv[0], nullptr, nullptr, argv.data(), environ), 0);
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{60};
    while (!std::filesystem::exists(port_file_)) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline) << name_ << " does not start";
      std::this_thread::sleep_for(std::chrono::milliseconds{10});
    }
    std::ifstream{port_file_} >> port_;
  }

  std::string name_;
  std::filesystem::path log_;
  std::filesystem::path port_file_;
  std::string kind_;
  std::vector<std::string> more_;
  std::string port_;
  pid_t pid_ = -1;
};

}  // namespace skerry::test
