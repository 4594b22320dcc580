// Child of ingest_kill_test: takes the chunks of a file into a store, one by one, and says so on
// standard output after each. `ingest_helper <store> <file> <pause-after>`: after that many chunks
// in this run it blocks on standard input, so that the parent can kill it in the middle; a negative
// number: no pause.

#include <cstdio>
#include <cstdlib>
#include <string>
#include <unistd.h>

#include "skerry/registry/blob_store.hpp"
#include "skerry/registry/catalogue.hpp"

namespace {

int fail(const skerry::Error& error) {
  std::fprintf(stderr, "%s\n", error.to_string().c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace skerry;
  using namespace skerry::registry;
  if (argc != 4) {
    return 2;
  }
  const std::filesystem::path root = argv[1];
  const long pause_after = std::strtol(argv[3], nullptr, 10);
  SystemFileSystem fs;
  const SystemClock clock;
  const auto hashed = hash_file(fs, argv[2], kMinChunkSize);
  if (!hashed) {
    return fail(hashed.error());
  }
  auto catalogue = Catalogue::open(root / "registry.db", clock);
  if (!catalogue) {
    return fail(catalogue.error());
  }
  auto store = BlobStore::open(fs, **catalogue, clock, root);
  if (!store) {
    return fail(store.error());
  }
  auto ingest = (*store)->begin(hashed->digest, hashed->index);
  if (!ingest) {
    return fail(ingest.error());
  }
  auto source = fs.open(argv[2], OpenMode::kRead, 0);
  if (!source) {
    return fail(source.error());
  }
  std::printf("kept %llu\n", static_cast<unsigned long long>((*ingest)->verified_bytes()));
  std::fflush(stdout);
  long written = 0;
  Bytes chunk(kMinChunkSize);
  for (std::uint64_t i = 0; i < hashed->index.count(); ++i) {
    if ((*ingest)->has_chunk(i)) {
      continue;
    }
    const auto count = (*source)->read_at(hashed->index.offset_of(i), chunk);
    if (!count) {
      return fail(count.error());
    }
    if (auto ok = (*ingest)->write_chunk(i, ByteView{chunk}.first(*count)); !ok) {
      return fail(ok.error());
    }
    std::printf("chunk\n");
    std::fflush(stdout);
    char byte = 0;
    if (++written == pause_after && ::read(STDIN_FILENO, &byte, 1) < 0) {
      return 3;
    }
  }
  if (auto ok = (*ingest)->finish(); !ok) {
    return fail(ok.error());
  }
  std::printf("done\n");
  return 0;
}
