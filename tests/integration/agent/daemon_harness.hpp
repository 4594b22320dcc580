#pragma once

// A real skerryd over a folder of its own: a signed-shape manifest for the null engine is put into
// its registry before it starts. Used by the daemon tests.

#include <chrono>
#include <fcntl.h>
#include <fstream>
#include <map>
#include <memory>
#include <signal.h>
#include <spawn.h>
#include <sstream>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "skerry/registry/pinned_prompts.hpp"

#include "registry_fixtures.hpp"
#include "temp_dir.hpp"

extern char** environ;

namespace skerry::test {

// Runs a program and stops it at the end.
class Process {
 public:
  Process(const std::vector<std::string>& command, const std::filesystem::path& log) {
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(
        &actions, STDERR_FILENO, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    std::vector<char*> argv;
    for (const std::string& part : command) {
      argv.push_back(const_cast<char*>(part.c_str()));
    }
    argv.push_back(nullptr);
    if (::posix_spawn(&pid_, argv[0], &actions, nullptr, argv.data(), environ) != 0) {
      pid_ = -1;
    }
    posix_spawn_file_actions_destroy(&actions);
  }
  ~Process() { stop(SIGKILL); }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  // The exit status as waitpid gives it; -1 if it was not running.
  int stop(int signal) {
    if (pid_ <= 0) {
      return -1;
    }
    ::kill(pid_, signal);
    return wait();
  }
  int wait() {
    int status = -1;
    if (pid_ > 0) {
      ::waitpid(pid_, &status, 0);
      pid_ = -1;
    }
    return status;
  }
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
};

// One HTTP exchange over a Unix socket, read to the end.
inline std::string http(const std::string& path, const std::string& request) {
  const UniqueFd socket{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return "cannot connect";
  }
  std::size_t sent = 0;
  while (sent < request.size()) {
    const ssize_t n =
        ::send(socket.get(), request.data() + sent, request.size() - sent, MSG_NOSIGNAL);
    if (n <= 0) {
      break;
    }
    sent += static_cast<std::size_t>(n);
  }
  std::string answer;
  char buffer[4096];
  for (ssize_t n = ::recv(socket.get(), buffer, sizeof buffer, 0); n > 0;
       n = ::recv(socket.get(), buffer, sizeof buffer, 0)) {
    answer.append(buffer, static_cast<std::size_t>(n));
  }
  return answer;
}

inline std::string post(const std::string& path, const std::string& body) {
  return "POST " + path + " HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: " +
         std::to_string(body.size()) + "\r\n\r\n" + body;
}

inline std::string get(const std::string& path) {
  return "GET " + path + " HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
}

class DaemonHarness {
 public:
  DaemonHarness() { ::chmod(dir_.path().c_str(), 0755); }

  [[nodiscard]] std::filesystem::path state() const { return dir_ / "state"; }
  [[nodiscard]] std::string socket(const std::string& name) const {
    return (dir_ / (name + ".sock")).string();
  }
  [[nodiscard]] const TempDir& dir() const { return dir_; }

  // Makes `version` of acme/echo, an echoing null model, active in `slot`; `prompts` is its file of
  // pinned prompts.
  void activate_echo(const std::string& version,
                     std::uint64_t generation,
                     const std::map<std::string, std::string>& options = {},
                     const std::string& slot = "default",
                     const std::string& prompts = {}) {
    SystemFileSystem fs;
    SystemClock clock;
    ASSERT_TRUE(fs.create_directories(state(), 0750));
    auto catalogue = registry::Catalogue::open(state() / "registry.db", clock);
    ASSERT_TRUE(catalogue) << catalogue.error().to_string();
    auto store = registry::BlobStore::open(fs, **catalogue, clock, state());
    ASSERT_TRUE(store) << store.error().to_string();
    const SampleFile weights =
        make_file(registry::FileRole::kWeights, "echo.bin", 1000 + generation, generation);
    ASSERT_TRUE((*store)->put(weights.bytes));
    registry::Variant variant;
    variant.name = "raw";
    variant.format = "null";
    variant.needs.runtime = "null";
    variant.needs.ram_bytes = 1U << 20U;
    variant.files = {weights.entry};
    registry::Manifest manifest = make_manifest(version, generation, {variant});
    manifest.model = {"acme", "echo"};
    for (const auto& [key, value] : options) {
      manifest.annotations.emplace("skerry.option." + key, value);
    }
    if (!prompts.empty()) {
      add_prompts(**store, manifest, prompts);
    }
    auto bytes = manifest.serialise();
    ASSERT_TRUE(bytes) << bytes.error().to_string();
    const Digest digest = Digest::of(*bytes);
    ASSERT_TRUE((*store)->put(as_bytes(*bytes)));
    auto recorded = (*catalogue)->record_manifest(*bytes, digest, "image", 1);
    ASSERT_TRUE(recorded) << recorded.error().to_string();
    registry::ActivationRequest request;
    request.slot = SlotName{slot};
    request.generation = generation;
    request.manifest = digest;
    request.variant = "raw";
    request.probation = false;
    auto active = (*catalogue)->activate(request);
    ASSERT_TRUE(active) << active.error().to_string();
  }

  // `more` and, inside their tables, `listen` and `runtime` are added to the configuration.
  void start(const std::string& more = {},
             const std::string& listen = {},
             const std::string& runtime = {}) {
    std::ofstream config{dir_ / "skerryd.toml"};
    config << "state_dir = \"" << state().string() << "\"\n"
           << more << "\n[listen]\napi_socket = \"" << socket("api") << "\"\nadmin_socket = \""
           << socket("admin") << "\"\nhttp_socket = \"" << socket("http")
           << "\"\nadmin_group = \"\"\n"
           << listen << "\n[runtime]\nsandbox = \"best_effort\"\nworker_user = \"\"\n"
           << runtime << "\n";
    config.close();
    process_ = std::make_unique<Process>(
        std::vector<std::string>{SKERRYD, "--config", (dir_ / "skerryd.toml").string()},
        dir_ / "log");
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{30};
    while (log().find("event=daemon.ready") == std::string::npos) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline) << log();
      ASSERT_EQ(::kill(process_->pid(), 0), 0) << log();
      std::this_thread::sleep_for(std::chrono::milliseconds{10});
    }
  }

  [[nodiscard]] std::shared_ptr<grpc::Channel> channel(const std::string& name) const {
    return grpc::CreateChannel("unix:" + socket(name), grpc::InsecureChannelCredentials());
  }

  [[nodiscard]] std::string log() const {
    std::ifstream file{dir_ / "log"};
    return {std::istreambuf_iterator<char>{file}, std::istreambuf_iterator<char>{}};
  }
  Process& process() { return *process_; }

  // The sum of a metric's lines that contain `label`; 0 if there is none.
  [[nodiscard]] double metric(const std::string& name, const std::string& label = {}) const {
    std::istringstream page{http(socket("http"), get("/metrics"))};
    double sum = 0;
    for (std::string line; std::getline(page, line);) {
      const bool named = line.starts_with(name + " ") || line.starts_with(name + "{");
      if (named && line.find(label) != std::string::npos) {
        sum += std::stod(line.substr(line.rfind(' ')));
      }
    }
    return sum;
  }

 private:
  static void add_prompts(registry::BlobStore& store,
                          registry::Manifest& manifest,
                          const std::string& text) {
    ASSERT_TRUE(store.put(as_bytes(text)));
    const Digest digest = Digest::of(text);
    const auto index =
        registry::ChunkIndex::of_single_chunk(digest, text.size(), registry::kMinChunkSize);
    ASSERT_TRUE(index);
    manifest.shared.push_back({registry::FileRole::kConfig,
                               std::string{registry::kPinnedPromptsFile},
                               digest,
                               text.size(),
                               registry::kMinChunkSize,
                               index->digest()});
    manifest.annotations.emplace(registry::kPinnedPromptsKey, registry::kPinnedPromptsFile);
  }

  TempDir dir_;
  std::unique_ptr<Process> process_;
};

}  // namespace skerry::test
