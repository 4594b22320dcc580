// skerry-bench-cuts: a blob comes from a real controller over mTLS and a link that is cut, while
// the fetching process is killed, at random (seeded) points, until there were enough cuts. Prints
// how much was fetched again per cut. Goals: at most one chunk per cut, no wrong byte.

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <optional>
#include <spawn.h>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <sys/wait.h>

#include "skerry/common/random.hpp"
#include "skerry/registry/blob_store.hpp"
#include "skerry/registry/catalogue.hpp"
#include "skerry/registry/chunk_index.hpp"

#include "cut_fetch.hpp"
#include "cut_proxy.hpp"
#include "fleet_sim.hpp"
#include "processes.hpp"

extern char** environ;

namespace skerry::bench {
namespace {

struct CutOptions {
  std::uint64_t cuts = 1000;
  std::uint64_t megabytes = 128;
  std::uint64_t megabytes_per_second = 60;
  std::uint64_t seed = 1;
  std::string folder;
  int port = 18'863;
};

struct CutTally {
  std::uint64_t kills = 0;
  std::uint64_t link_cuts = 0;
  std::uint64_t blobs = 0;
  std::uint64_t wrong_blobs = 0;
  std::uint64_t received = 0;  // payload
  std::uint64_t stored = 0;
  std::uint64_t wire = 0;
  std::uint64_t rejected = 0;
  // Payload that came again from one known state to the next, per cut between them.
  double worst = 0;
  std::vector<double> per_cut;
};

struct WorkFolder {
  std::filesystem::path path;
  ~WorkFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
};

// The fetching process; this very program with other arguments.
class FetchingChild {
 public:
  explicit FetchingChild(const std::filesystem::path& folder) {
    std::string program = std::filesystem::read_symlink("/proc/self/exe").string();
    std::string option = "--fetch";
    std::string at = folder.string();
    std::vector<char*> arguments{program.data(), option.data(), at.data(), nullptr};
    if (::posix_spawn(&pid_, program.c_str(), nullptr, nullptr, arguments.data(), environ) != 0) {
      pid_ = -1;
    }
  }
  ~FetchingChild() { kill(); }
  FetchingChild(const FetchingChild&) = delete;
  FetchingChild& operator=(const FetchingChild&) = delete;

  // Its exit status once it ended.
  std::optional<int> ended() {
    int status = 0;
    if (pid_ <= 0 || ::waitpid(pid_, &status, WNOHANG) != pid_) {
      return pid_ <= 0 ? std::optional{-1} : std::nullopt;
    }
    pid_ = -1;
    return status;
  }
  void kill() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
      pid_ = -1;
    }
  }

 private:
  pid_t pid_ = -1;
};

// Compares what arrived since a state that is known with what is there at the next known one: the
// start of a process that received something, and the end.
class LossMeter {
 public:
  LossMeter(CutTally& tally, FetchCounters& counters) : tally_(tally), counters_(counters) {}

  // A process begins.
  void begin() {
    counters_.kept = FetchCounters::kUnknown;
    counters_.rejected = 0;
  }
  void link_cut() { ++links_; }
  // The process is dead, by a kill or because it is done.
  void end(bool killed, bool done, std::uint64_t size) {
    const auto kept = counters_.kept.load();
    const auto received = counters_.received.exchange(0);
    tally_.rejected += counters_.rejected.load();
    tally_.received += received;
    if (kept != FetchCounters::kUnknown) {
      settle(kept);
    }
    since_ += received;
    cuts_ += std::exchange(links_, 0) + (killed ? 1U : 0U);
    if (done) {
      settle(size);
      known_ = 0;
    }
  }

 private:
  void settle(std::uint64_t now) {
    const auto gained = now - std::min(now, known_);
    const auto again = static_cast<double>(since_ - std::min(since_, gained));
    if (cuts_ > 0 || again > 0) {
      const auto per_cut = again / static_cast<double>(std::max<std::uint64_t>(cuts_, 1));
      tally_.worst = std::max(tally_.worst, per_cut);
      tally_.per_cut.push_back(per_cut);
    }
    known_ = now;
    since_ = 0;
    cuts_ = 0;
  }

  CutTally& tally_;
  FetchCounters& counters_;
  std::uint64_t known_ = 0;
  std::uint64_t since_ = 0;
  std::uint64_t cuts_ = 0;
  std::uint64_t links_ = 0;
};

// The stored blob is hashed as a whole, counted and removed for the next round.
Result<void> check_and_remove(const std::filesystem::path& root,
                              const Digest& digest,
                              CutTally& tally) {
  SystemFileSystem fs;
  SystemClock clock;
  const auto catalogue = registry::Catalogue::open(root / "registry.db", clock);
  if (!catalogue) {
    return catalogue.error();
  }
  const auto store = registry::BlobStore::open(fs, **catalogue, clock, root);
  if (!store) {
    return store.error();
  }
  ++tally.blobs;
  const auto whole = (*store)->reverify(digest);
  if (!whole) {
    ++tally.wrong_blobs;
    return whole.error();
  }
  tally.stored += whole->size;
  return (*store)->remove(digest);
}

Result<void> one_blob(const CutOptions& options,
                      const std::filesystem::path& folder,
                      const registry::WantedBlob& wanted,
                      CutProxy& proxy,
                      FakeRandom& random,
                      LossMeter& meter,
                      CutTally& tally) {
  for (;;) {
    meter.begin();
    FetchingChild child{folder};
    bool killed = false;
    std::optional<int> status;
    while (!killed && !status) {
      const bool enough = tally.kills + tally.link_cuts >= options.cuts;
      const auto distance = random.below(4ULL * wanted.chunk_size);
      const auto at = proxy.forwarded() + distance;
      while (!(status = child.ended()) && (enough || proxy.forwarded() < at)) {
        std::this_thread::sleep_for(std::chrono::microseconds{100});
      }
      if (status) {
        break;
      }
      if (random.below(2) == 0) {
        proxy.cut();
        meter.link_cut();
        ++tally.link_cuts;
      } else {
        child.kill();
        killed = true;
        ++tally.kills;
      }
    }
    const bool done = status && WIFEXITED(*status) && WEXITSTATUS(*status) == 0;
    meter.end(killed, done, wanted.size);
    if (done) {
      return {};
    }
    if (!killed) {
      return Error{Error::Code::kInternal, "the fetching process failed"};
    }
  }
}

void print(const CutOptions& options, const CutTally& tally, std::uint64_t chunk) {
  const auto cuts = tally.kills + tally.link_cuts;
  const auto per_cut = [&](std::uint64_t all) {
    return cuts == 0 ? 0.0
                     : static_cast<double>(all - std::min(all, tally.stored)) /
                           static_cast<double>(cuts) / static_cast<double>(chunk);
  };
  auto losses = tally.per_cut;
  std::sort(losses.begin(), losses.end());
  std::printf("%llu cuts (%llu kill -9, %llu links), seed %llu, %llu blobs of %llu MiB\n",
              static_cast<unsigned long long>(cuts),
              static_cast<unsigned long long>(tally.kills),
              static_cast<unsigned long long>(tally.link_cuts),
              static_cast<unsigned long long>(options.seed),
              static_cast<unsigned long long>(tally.blobs),
              static_cast<unsigned long long>(options.megabytes));
  std::printf("  wrong blobs                                   %llu\n",
              static_cast<unsigned long long>(tally.wrong_blobs));
  std::printf("  chunks that failed verification               %llu\n",
              static_cast<unsigned long long>(tally.rejected / chunk));
  std::printf("  payload fetched again per cut, mean           %.3f chunks\n",
              per_cut(tally.received));
  std::printf("  payload fetched again per cut, median, worst  %.3f, %.3f chunks\n",
              losses.empty() ? 0.0 : losses[losses.size() / 2] / static_cast<double>(chunk),
              tally.worst / static_cast<double>(chunk));
  std::printf("  bytes on the link beyond the blobs per cut    %.3f chunks\n", per_cut(tally.wire));
}

Result<bool> run_cuts(const CutOptions& options, const std::filesystem::path& programs) {
  const WorkFolder folder{std::filesystem::path{options.folder} /
                          ("skerry-bench-cuts-" + std::to_string(::getpid()))};
  std::filesystem::create_directories(folder.path / "store");
  std::ofstream(folder.path / "controller.toml")
      << "[state]\ndirectory = \"" << (folder.path / "state").string()
      << "\"\n[server]\nlisten = \"127.0.0.1:" << options.port
      << "\"\n[log]\nlevel = \"warning\"\n";
  const auto controller = Child::start({(programs / "skerry-controller").string(),
                                        "--config",
                                        (folder.path / "controller.toml").string()},
                                       (folder.path / "controller.log").string());
  if (!controller) {
    return controller.error();
  }
  if (auto up = wait_for_port(options.port, std::chrono::seconds{20}); !up) {
    return up.error().with_context("skerry-controller");
  }
  auto proxy =
      CutProxy::start(options.port + 1, options.port, options.megabytes_per_second * 1'000'000);
  if (!proxy) {
    return proxy.error();
  }
  FakeRandom content_random{42};
  std::string content(options.megabytes << 20U, '\0');
  content_random.fill({reinterpret_cast<std::uint8_t*>(content.data()), content.size()});
  std::ofstream(folder.path / "blob", std::ios::binary) << content;
  SystemFileSystem fs;
  const auto hashed = registry::hash_file(fs, folder.path / "blob");
  if (!hashed) {
    return hashed.error();
  }
  const std::string address = "127.0.0.1:" + std::to_string(options.port);
  sim::SimOperator fleet_operator{address, folder.path / "state" / "operator"};
  const auto index = hashed->index.serialise();
  for (const auto& [digest, bytes] :
       {std::pair<Digest, std::string>{hashed->digest, content},
        std::pair<Digest, std::string>{hashed->index.digest(), std::string{as_text(index)}}}) {
    if (auto pushed = fleet_operator.push_blob(digest.raw(), bytes); !pushed) {
      return pushed.error();
    }
  }
  const auto token = fleet_operator.token();
  if (!token) {
    return token.error();
  }
  const auto device = sim::SimDevice::enrol(address, fleet_operator.ca_pem(), *token);
  if (!device) {
    return device.error();
  }
  const auto& credentials = (*device)->credentials();
  std::ofstream(folder.path / "ca.pem") << credentials.ca;
  std::ofstream(folder.path / "device.pem") << credentials.certificate;
  std::ofstream(folder.path / "device.key") << credentials.key;
  std::ofstream(folder.path / "address") << "127.0.0.1:" << options.port + 1 << '\n';
  const registry::WantedBlob wanted{
      hashed->digest, hashed->index.size(), hashed->index.chunk_size(), hashed->index.digest()};
  write_wanted(folder.path, wanted);
  const auto counters = map_counters(folder.path);
  if (!counters) {
    return counters.error();
  }
  CutTally tally;
  LossMeter meter{tally, **counters};
  FakeRandom random{options.seed};
  const auto wire_before = (*proxy)->forwarded();
  while (tally.kills + tally.link_cuts < options.cuts) {
    if (auto done = one_blob(options, folder.path, wanted, **proxy, random, meter, tally); !done) {
      return done.error();
    }
    if (auto right = check_and_remove(folder.path / "store", wanted.digest, tally); !right) {
      return right.error();
    }
  }
  tally.wire = (*proxy)->forwarded() - wire_before;
  print(options, tally, wanted.chunk_size);
  const bool met = tally.wrong_blobs == 0 && tally.rejected == 0 &&
                   tally.worst <= static_cast<double>(wanted.chunk_size);
  std::printf("goal: no wrong blob, at most one chunk fetched again per cut: %s\n",
              met ? "met" : "MISSED");
  return met;
}

}  // namespace
}  // namespace skerry::bench

int main(int argc, char** argv) {
  CLI::App app{"A transfer that is cut again and again.", "skerry-bench-cuts"};
  skerry::bench::CutOptions options;
  options.folder = std::filesystem::temp_directory_path().string();
  std::string fetch;
  app.add_option("--cuts", options.cuts, "kills and broken links together")
      ->capture_default_str()
      ->check(CLI::Range(1, 1'000'000));
  app.add_option("--megabytes", options.megabytes, "size of the blob in MiB")
      ->capture_default_str()
      ->check(CLI::Range(8, 1024));
  app.add_option("--rate", options.megabytes_per_second, "the link, in MB/s")
      ->capture_default_str()
      ->check(CLI::Range(1, 10'000));
  app.add_option("--seed", options.seed, "of the cuts")->capture_default_str();
  app.add_option("--folder", options.folder, "where to work (about four times the size)")
      ->capture_default_str()
      ->check(CLI::ExistingDirectory);
  app.add_option("--port", options.port, "two ports from here on are used")->capture_default_str();
  app.add_option("--fetch", fetch, "used by the bench itself: fetch what that folder names");
  CLI11_PARSE(app, argc, argv);
  if (!fetch.empty()) {
    const auto done = skerry::bench::fetch_until_done(fetch);
    if (!done) {
      std::fprintf(stderr, "skerry-bench-cuts: %s\n", done.error().message().c_str());
    }
    return done ? 0 : 1;
  }
  const auto programs = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  const auto met = skerry::bench::run_cuts(options, programs);
  if (!met) {
    std::fprintf(stderr, "skerry-bench-cuts: %s\n", met.error().message().c_str());
    return 1;
  }
  return *met ? 0 : 1;
}
