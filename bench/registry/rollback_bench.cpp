// How long a rollback takes to be durable: `Catalogue::rollback` on a catalogue of some size,
// commit included. The promise is 20 ms at the 99th percentile. Beside it, in the same run, the raw
// 4 KiB overwrite + fdatasync of the same disk, which is what any durable commit must wait for.
//
//   rollback_bench [folder] [iterations]

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "skerry/registry/catalogue.hpp"
#include "skerry/registry/chunk_index.hpp"

namespace {

using namespace skerry;
using namespace skerry::registry;
using Milliseconds = std::chrono::duration<double, std::milli>;

void print(const char* name, std::vector<double> samples) {
  std::sort(samples.begin(), samples.end());
  const auto at = [&](double share) {
    return samples[std::min(samples.size() - 1,
                            static_cast<std::size_t>(share * static_cast<double>(samples.size())))];
  };
  std::printf("%-24s n=%zu  p50 %.3f ms  p90 %.3f ms  p99 %.3f ms  max %.3f ms\n",
              name,
              samples.size(),
              at(0.5),
              at(0.9),
              at(0.99),
              samples.back());
}

template <class Work>
std::vector<double> measure(int iterations, Work work) {
  std::vector<double> samples;
  for (int i = 0; i < iterations; ++i) {
    const auto start = std::chrono::steady_clock::now();
    work();
    samples.push_back(Milliseconds{std::chrono::steady_clock::now() - start}.count());
  }
  return samples;
}

template <class T>
T must(Result<T> result) {
  if (!result) {
    std::fprintf(stderr, "rollback_bench: %s\n", result.error().to_string().c_str());
    std::exit(1);
  }
  return std::move(*result);
}

void must(const Result<void>& result) {
  if (!result) {
    std::fprintf(stderr, "rollback_bench: %s\n", result.error().to_string().c_str());
    std::exit(1);
  }
}

// A model of one file that counts as present.
Digest add_version(Catalogue& catalogue, std::uint64_t number) {
  const auto content = std::to_string(number);
  ManifestFile file;
  file.name = "weights.gguf";
  file.digest = Digest::of(content);
  file.size = content.size();
  file.chunk_size = kDefaultChunkSize;
  file.chunks = must(ChunkIndex::of_single_chunk(file.digest, file.size, file.chunk_size)).digest();
  Variant variant;
  variant.name = "q4_k_m";
  variant.format = "gguf";
  variant.needs.runtime = "llamacpp";
  variant.files = {file};
  Manifest manifest;
  manifest.model = {"bench", "model"};
  manifest.version = must(SemanticVersion::parse("1.0." + content));
  manifest.release_counter = number + 1;
  manifest.variants = {variant};
  const auto bytes = must(manifest.serialise());
  must(catalogue.record_manifest(bytes, Digest::of(bytes), "image", 1));
  BlobRecord record;
  record.digest = file.digest;
  record.size = file.size;
  must(catalogue.put_blob(record));
  return Digest::of(bytes);
}

void activate(Catalogue& catalogue,
              const SlotName& slot,
              std::uint64_t generation,
              Digest manifest) {
  ActivationRequest request;
  request.slot = slot;
  request.generation = generation;
  request.manifest = manifest;
  request.variant = "q4_k_m";
  request.probation = false;
  must(catalogue.activate(request));
}

}  // namespace

int main(int argc, char** argv) {
  const std::filesystem::path parent =
      argc > 1 ? std::filesystem::path{argv[1]} : std::filesystem::temp_directory_path();
  const int iterations = argc > 2 ? std::max(1, std::atoi(argv[2])) : 2000;
  std::string pattern = (parent / "skerry-bench-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) {
    std::perror("rollback_bench: mkdtemp");
    return 1;
  }
  const std::filesystem::path folder = pattern;
  double p99 = 0;
  {
    const SystemClock clock;
    auto catalogue = must(Catalogue::open(folder / "registry.db", clock));
    std::vector<Digest> versions;
    for (std::uint64_t i = 0; i < 100; ++i) {
      versions.push_back(add_version(*catalogue, i));
    }
    const SlotName slot{"default"};
    activate(*catalogue, slot, 1, versions[98]);
    activate(*catalogue, slot, 2, versions[99]);

    SystemFileSystem fs;
    auto raw = must(fs.open(folder / "raw", OpenMode::kCreate, 0600));
    const Bytes block(4096, 1);
    must(raw->write_at(0, Bytes(1U << 20U, 0)));
    must(raw->sync());
    int position = 0;
    print("4 KiB write + fdatasync", measure(iterations, [&] {
            must(raw->write_at(static_cast<std::uint64_t>(position++ % 256) * 4096, block));
            must(raw->sync());
          }));
    auto samples = measure(iterations, [&] { must(catalogue->rollback(slot, "bench", false)); });
    print("rollback, committed", samples);
    std::sort(samples.begin(), samples.end());
    p99 = samples[samples.size() * 99 / 100];
  }
  std::filesystem::remove_all(folder);
  std::printf("goal: p99 at most 20 ms: %s\n", p99 <= 20 ? "met" : "MISSED");
  return p99 <= 20 ? 0 : 1;
}
