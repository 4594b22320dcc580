#include "cut_fetch.hpp"

#include <cerrno>
#include <fcntl.h>
#include <fstream>
#include <new>
#include <thread>

#include <sys/mman.h>

#include "skerry/common/unique_fd.hpp"
#include "skerry/registry/blob_store.hpp"
#include "skerry/registry/catalogue.hpp"
#include "skerry/registry/fetcher.hpp"

#include "controller_channel.hpp"
#include "fleet_sim.hpp"

namespace skerry::bench {
namespace {

// Counts what the controller sends of one blob on its way into the store.
class CountedSource final : public registry::BlobSource {
 public:
  CountedSource(registry::BlobSource& source, const Digest& blob, FetchCounters& counters)
      : source_(source), blob_(blob), counters_(counters) {}
  [[nodiscard]] std::string name() const override { return source_.name(); }
  Result<void> read(const registry::BlobRange& range,
                    registry::ByteSink& sink,
                    const registry::CancelFlag& cancel) override {
    if (range.digest != blob_) {
      return source_.read(range, sink, cancel);
    }
    Counter counter{sink, counters_};
    return source_.read(range, counter, cancel);
  }

 private:
  class Counter final : public registry::ByteSink {
   public:
    Counter(registry::ByteSink& next, FetchCounters& counters) : next_(next), counters_(counters) {}
    Result<void> write(ByteView bytes) override {
      counters_.received += bytes.size();
      return next_.write(bytes);
    }

   private:
    registry::ByteSink& next_;
    FetchCounters& counters_;
  };

  registry::BlobSource& source_;
  const Digest blob_;
  FetchCounters& counters_;
};

Result<registry::WantedBlob> read_wanted(const std::filesystem::path& folder) {
  std::ifstream in{folder / "wanted"};
  std::string digest;
  std::string chunks;
  registry::WantedBlob wanted;
  in >> digest >> wanted.size >> wanted.chunk_size >> chunks;
  const auto whole = Digest::parse(digest);
  const auto index = Digest::parse(chunks);
  if (!whole || !index) {
    return Error{Error::Code::kParse, "the file \"wanted\" is damaged"};
  }
  wanted.digest = *whole;
  wanted.chunks = *index;
  return wanted;
}

}  // namespace

void write_wanted(const std::filesystem::path& folder, const registry::WantedBlob& wanted) {
  std::ofstream{folder / "wanted"} << wanted.digest.to_string() << ' ' << wanted.size << ' '
                                   << wanted.chunk_size << ' ' << wanted.chunks.to_string() << '\n';
}

Result<FetchCounters*> map_counters(const std::filesystem::path& folder) {
  const UniqueFd file{::open((folder / "counters").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
  if (!file || ::ftruncate(file.get(), sizeof(FetchCounters)) != 0) {
    return errno_error(errno, "the shared counters");
  }
  void* memory =
      ::mmap(nullptr, sizeof(FetchCounters), PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  if (memory == MAP_FAILED) {
    return errno_error(errno, "mapping the shared counters");
  }
  return static_cast<FetchCounters*>(memory);
}

Result<void> fetch_until_done(const std::filesystem::path& folder) {
  const auto counters = map_counters(folder);
  if (!counters) {
    return counters.error();
  }
  const auto wanted = read_wanted(folder);
  if (!wanted) {
    return wanted.error();
  }
  std::string address;
  std::ifstream{folder / "address"} >> address;
  agent::sync::ControllerSource controller{sim::connect_tls(address,
                                                            sim::read_text(folder / "ca.pem"),
                                                            sim::read_text(folder / "device.pem"),
                                                            sim::read_text(folder / "device.key"))};
  CountedSource source{controller.blobs(), wanted->digest, **counters};

  SystemFileSystem fs;
  SystemClock clock;
  const auto catalogue = registry::Catalogue::open(folder / "store" / "registry.db", clock);
  if (!catalogue) {
    return catalogue.error();
  }
  const auto store = registry::BlobStore::open(fs, **catalogue, clock, folder / "store");
  if (!store) {
    return store.error();
  }
  registry::FetchOptions options;
  // The link comes back within a moment, again and again.
  options.attempts_per_source = 10'000;
  options.retry_wait = std::chrono::milliseconds{20};
  registry::Fetcher fetcher{**store,
                            {&source},
                            clock,
                            [](std::chrono::nanoseconds pause) {
                              std::this_thread::sleep_for(std::min<std::chrono::nanoseconds>(
                                  pause, std::chrono::milliseconds{50}));
                            },
                            Log{},
                            options};
  const registry::CancelFlag never;
  const std::vector<registry::WantedBlob> all{*wanted};
  const auto done = fetcher.fetch(all, never, [&](const registry::FetchProgress& progress) {
    (*counters)->kept = progress.reused_bytes;
    (*counters)->rejected = progress.rejected_bytes;
  });
  return done ? Result<void>{} : done.error();
}

}  // namespace skerry::bench
