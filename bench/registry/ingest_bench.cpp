// How fast a local file becomes a verified, durable blob, against doing the same with common tools:
// copy + sync, and copy + sync + `openssl dgst -sha256`. Two ways: named by a manifest (its chunk
// index is the verification) and of unknown digest (whole and chunks are hashed); and the first way
// into an encrypted store, with the copy in memory that a worker then gets. Runs alternate; medians
// of the paired ratios.
//
//   ingest_bench [folder] [megabytes] [rounds]

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include <sys/resource.h>

#include "skerry/common/random.hpp"
#include "skerry/registry/blob_store.hpp"
#include "skerry/registry/catalogue.hpp"

namespace {

using namespace skerry;
using namespace skerry::registry;

double seconds(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>{std::chrono::steady_clock::now() - start}.count();
}

// CPU time of this process alone: unlike wall time it means something on a busy machine.
double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto of = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return of(usage.ru_utime) + of(usage.ru_stime);
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void fail(const std::string& what) {
  std::fprintf(stderr, "ingest_bench: %s\n", what.c_str());
  std::exit(1);
}

void shell(const std::string& command) {
  if (std::system(command.c_str()) != 0) {
    fail(command);
  }
}

void write_source(const std::filesystem::path& path, std::size_t megabytes) {
  FakeRandom random{1};
  Bytes block(1U << 20U);
  SystemFileSystem fs;
  auto file = fs.open(path, OpenMode::kCreate, 0600);
  for (std::size_t i = 0; file && i < megabytes; ++i) {
    random.fill(block);
    if (auto ok = (*file)->write_at(i << 20U, block); !ok) {
      fail(ok.error().to_string());
    }
  }
}

struct Run {
  double seconds = 0;
  double cpu = 0;
  double open_seconds = 0;  // of an encrypted store: the verified copy in memory
};

// One ingest into a fresh store under `root`, which is removed again.
Run ingest(const std::filesystem::path& root,
           const std::filesystem::path& source,
           const HashedFile* named,
           bool seal = false) {
  const SystemClock clock;
  SystemFileSystem fs;
  std::filesystem::create_directories(root);
  Run run;
  {
    auto catalogue = Catalogue::open(root / "registry.db", clock);
    if (!catalogue) {
      fail(catalogue.error().to_string());
    }
    BlobStoreOptions options;
    options.seal = seal;
    options.key = seal ? StoreKey::in_memory() : nullptr;
    auto store = BlobStore::open(fs, **catalogue, clock, root, options);
    if (!store) {
      fail(store.error().to_string());
    }
    const double cpu_before = cpu_seconds();
    run.seconds = seconds([&] {
      const auto done = [&]() -> Result<void> {
        if (named != nullptr) {
          return (*store)->ingest_file(source, named->digest, named->index);
        }
        auto added = (*store)->ingest_file(source);
        return added ? Result<void>{} : added.error();
      }();
      if (!done) {
        fail(done.error().to_string());
      }
    });
    run.cpu = cpu_seconds() - cpu_before;
    if (seal) {
      run.open_seconds = seconds([&] {
        const WantedBlob wanted{
            named->digest, named->index.size(), named->index.chunk_size(), named->index.digest()};
        const auto blob = (*store)->open_verified(wanted);
        const auto fd = blob ? blob->plain_fd() : Result<UniqueFd>{blob.error()};
        if (!fd) {
          fail(fd.error().to_string());
        }
      });
    }
  }
  std::filesystem::remove_all(root);
  return run;
}

// The samples of one way, and what they are compared with.
struct Way {
  const char* name;
  std::vector<double> speed;
  std::vector<double> cpu;
  std::vector<double> to_copy;
  std::vector<double> to_checked;

  void add(double gigabytes, const Run& run, double copied, double hashed) {
    speed.push_back(gigabytes / run.seconds);
    cpu.push_back(run.cpu / gigabytes);
    to_copy.push_back(copied / run.seconds);
    to_checked.push_back((copied + hashed) / run.seconds);
  }

  void print() const {
    std::printf("%-32s %.2f GB/s, %.2f CPU s/GB, %.2fx cp+sync, %.2fx cp+sync+openssl\n",
                name,
                median(speed),
                median(cpu),
                median(to_copy),
                median(to_checked));
  }
};

}  // namespace

int main(int argc, char** argv) {
  const std::filesystem::path parent =
      argc > 1 ? std::filesystem::path{argv[1]} : std::filesystem::temp_directory_path();
  const std::size_t megabytes =
      argc > 2 ? static_cast<std::size_t>(std::max(1, std::atoi(argv[2]))) : 512;
  const int rounds = argc > 3 ? std::max(1, std::atoi(argv[3])) : 5;
  std::string pattern = (parent / "skerry-bench-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) {
    std::perror("ingest_bench: mkdtemp");
    return 1;
  }
  const std::filesystem::path folder = pattern;
  const auto source = folder / "source";
  write_source(source, megabytes);
  SystemFileSystem fs;
  const auto named = hash_file(fs, source);
  if (!named) {
    fail(named.error().to_string());
  }
  const std::string copy = (folder / "copy").string();
  const auto gigabytes = static_cast<double>(megabytes) * (1U << 20U) / 1e9;
  Way by_index{"ingest, named by a manifest:", {}, {}, {}, {}};
  Way unknown{"ingest, digest unknown:", {}, {}, {}, {}};
  Way sealed{"ingest, named, encrypted:", {}, {}, {}, {}};
  std::vector<double> opened;
  for (int round = 0; round < rounds; ++round) {
    const double copied =
        seconds([&] { shell("cp " + source.string() + " " + copy + " && sync " + copy); });
    const double hashed = seconds([&] { shell("openssl dgst -sha256 " + copy + " > /dev/null"); });
    std::filesystem::remove(copy);
    const auto first = ingest(folder / "store", source, &*named);
    const auto second = ingest(folder / "store", source, nullptr);
    const auto third = ingest(folder / "store", source, &*named, true);
    by_index.add(gigabytes, first, copied, hashed);
    unknown.add(gigabytes, second, copied, hashed);
    sealed.add(gigabytes, third, copied, hashed);
    opened.push_back(gigabytes / third.open_seconds);
    std::printf(
        "round %d: cp+sync %.2f GB/s, cp+sync+openssl %.2f GB/s, ingest named %.2f GB/s, unknown "
        "%.2f GB/s\n",
        round + 1,
        gigabytes / copied,
        gigabytes / (copied + hashed),
        gigabytes / first.seconds,
        gigabytes / second.seconds);
  }
  std::filesystem::remove_all(folder);
  by_index.print();
  unknown.print();
  sealed.print();
  std::printf("open, encrypted (to memory):     %.2f GB/s\n", median(opened));
  return 0;
}
