// How fast a local file becomes a verified, durable blob, against doing the same with common tools:
// copy
// + sync, and copy + sync + `openssl dgst -sha256`. Runs alternate; medians of the paired ratios.
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
  const std::string copy = (folder / "copy").string();
  std::vector<double> to_copy;
  std::vector<double> to_checked;
  std::vector<double> speed;
  std::vector<double> cpu;
  const SystemClock clock;
  SystemFileSystem fs;
  const auto gigabytes = static_cast<double>(megabytes) * (1U << 20U) / 1e9;
  for (int round = 0; round < rounds; ++round) {
    const double copied =
        seconds([&] { shell("cp " + source.string() + " " + copy + " && sync " + copy); });
    const double hashed = seconds([&] { shell("openssl dgst -sha256 " + copy + " > /dev/null"); });
    std::filesystem::remove(copy);
    const auto root = folder / "store";
    std::filesystem::create_directories(root);
    double added = 0;
    {
      auto catalogue = Catalogue::open(root / "registry.db", clock);
      if (!catalogue) {
        fail(catalogue.error().to_string());
      }
      auto store = BlobStore::open(fs, **catalogue, clock, root);
      if (!store) {
        fail(store.error().to_string());
      }
      const double cpu_before = cpu_seconds();
      added = seconds([&] {
        if (auto ok = (*store)->ingest_file(source); !ok) {
          fail(ok.error().to_string());
        }
      });
      cpu.push_back((cpu_seconds() - cpu_before) / gigabytes);
    }
    std::filesystem::remove_all(root);
    std::printf("round %d: cp+sync %.2f GB/s, cp+sync+openssl %.2f GB/s, ingest %.2f GB/s\n",
                round + 1,
                gigabytes / copied,
                gigabytes / (copied + hashed),
                gigabytes / added);
    speed.push_back(gigabytes / added);
    to_copy.push_back(copied / added);
    to_checked.push_back((copied + hashed) / added);
  }
  std::filesystem::remove_all(folder);
  std::printf(
      "ingest (whole and chunk hashes, durable): %.2f GB/s, %.2f CPU s/GB, %.2fx cp+sync, %.2fx "
      "cp+sync+openssl\n",
      median(speed),
      median(cpu),
      median(to_copy),
      median(to_checked));
  return 0;
}
