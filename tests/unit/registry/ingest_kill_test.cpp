// kill -9 of a real process in the middle of an ingest, again and again: every verified chunk is
// kept, the blob gets there, and its bytes are right.

#include <array>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <fstream>
#include <spawn.h>
#include <string>
#include <unistd.h>

#include <gtest/gtest.h>
#include <sys/wait.h>

#include "skerry/registry/blob_store.hpp"
#include "skerry/registry/catalogue.hpp"

#include "registry_fixtures.hpp"
#include "temp_dir.hpp"

namespace skerry::registry {
namespace {

constexpr std::size_t kChunk = kMinChunkSize;

struct Outcome {
  std::uint64_t kept = 0;    // bytes that were there at the start
  std::uint64_t chunks = 0;  // that this run said it wrote
  bool done = false;
  int status = 0;
};

class Child {
 public:
  Child(const std::filesystem::path& root, const std::filesystem::path& file, long pause_after) {
    std::array<int, 2> in{};
    std::array<int, 2> out{};
    EXPECT_EQ(::pipe2(in.data(), O_CLOEXEC), 0);
    EXPECT_EQ(::pipe2(out.data(), O_CLOEXEC), 0);
    posix_spawn_file_actions_t actions{};
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    std::string program = SKERRY_INGEST_HELPER;
    std::string root_text = root.string();
    std::string file_text = file.string();
    std::string pause_text = std::to_string(pause_after);
    std::array<char*, 5> arguments{
        program.data(), root_text.data(), file_text.data(), pause_text.data(), nullptr};
    EXPECT_EQ(::posix_spawn(&pid_, program.c_str(), &actions, nullptr, arguments.data(), environ),
              0);
    ::posix_spawn_file_actions_destroy(&actions);
    ::close(in[0]);
    ::close(out[1]);
    input_ = in[1];
    output_ = ::fdopen(out[0], "r");
  }
  ~Child() {
    ::close(input_);
    std::fclose(output_);
  }

  // Reads until `chunks` lines were seen (then kills it) or the end.
  Outcome run_and_kill_after(std::uint64_t chunks) {
    Outcome outcome;
    std::array<char, 256> line{};
    while (std::fgets(line.data(), line.size(), output_) != nullptr) {
      const std::string text = line.data();
      if (text.starts_with("kept ")) {
        outcome.kept = std::stoull(text.substr(5));
      }
      outcome.chunks += text == "chunk\n" ? 1U : 0U;
      outcome.done = outcome.done || text == "done\n";
      if (outcome.chunks == chunks) {
        ::kill(pid_, SIGKILL);
        break;
      }
    }
    ::waitpid(pid_, &outcome.status, 0);
    return outcome;
  }

 private:
  pid_t pid_ = -1;
  int input_ = -1;
  FILE* output_ = nullptr;
};

TEST(IngestKillTest, NoVerifiedChunkIsLostToAnyNumberOfKills) {
  test::TempDir dir;
  const auto file = test::make_file(FileRole::kWeights, "w", 23 * kChunk + 5, 1);
  std::ofstream{dir / "source", std::ios::binary} << as_text(file.bytes);
  std::uint64_t written = 0;
  Outcome outcome;
  for (int attempt = 0; !outcome.done; ++attempt) {
    ASSERT_LT(attempt, 20);
    // Sometimes it waits to be killed, sometimes the kill meets it at work.
    const std::uint64_t after = 1 + static_cast<std::uint64_t>(attempt) % 4;
    const bool waits = attempt % 2 == 0;
    Child child{dir.path(), dir / "source", waits ? static_cast<long>(after) : -1};
    outcome = child.run_and_kill_after(after);
    EXPECT_GE(outcome.kept, std::min<std::uint64_t>(written * kChunk, file.bytes.size() - kChunk))
        << "a verified chunk was lost";
    written = outcome.kept / kChunk + outcome.chunks;
    ASSERT_TRUE(outcome.done || WIFSIGNALED(outcome.status)) << "exit status " << outcome.status;
  }
  SystemFileSystem fs;
  const SystemClock clock;
  auto catalogue = std::move(*Catalogue::open(dir / "registry.db", clock));
  auto store = std::move(*BlobStore::open(fs, *catalogue, clock, dir.path()));
  EXPECT_TRUE(store->reverify(file.digest()));
  EXPECT_EQ(*store->read(file.digest(), 64U << 20U), file.bytes);
}

}  // namespace
}  // namespace skerry::registry
