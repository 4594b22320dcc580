#pragma once

// Files, manifests and sources for tests of the registry and of what uses it: small, deterministic,
// every digest true.

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "skerry/common/random.hpp"
#include "skerry/registry/blob_source.hpp"
#include "skerry/registry/blob_store.hpp"
#include "skerry/registry/catalogue.hpp"
#include "skerry/registry/fetcher.hpp"
#include "skerry/registry/manifest.hpp"

namespace skerry::test {

inline Bytes random_bytes(std::size_t size, std::uint64_t seed) {
  Bytes bytes(size);
  FakeRandom random{seed};
  random.fill(bytes);
  return bytes;
}

// A file's content with its place in a manifest.
struct SampleFile {
  Bytes bytes;
  registry::ChunkIndex index;
  registry::ManifestFile entry;

  [[nodiscard]] const Digest& digest() const { return entry.digest; }
  [[nodiscard]] ByteView chunk(std::uint64_t i) const {
    return ByteView{bytes}.subspan(index.offset_of(i), index.length_of(i));
  }
};

inline registry::ChunkIndex index_of(ByteView bytes, std::uint32_t chunk_size) {
  std::vector<Digest> chunks;
  for (std::size_t offset = 0; offset < bytes.size(); offset += chunk_size) {
    chunks.push_back(Digest::of(
        bytes.subspan(offset, std::min<std::size_t>(chunk_size, bytes.size() - offset))));
  }
  return *registry::ChunkIndex::from_digests(std::move(chunks), bytes.size(), chunk_size);
}

inline SampleFile make_file(registry::FileRole role,
                            std::string name,
                            std::size_t size,
                            std::uint64_t seed,
                            std::uint32_t chunk_size = registry::kMinChunkSize) {
  auto bytes = random_bytes(size, seed);
  auto index = index_of(bytes, chunk_size);
  registry::ManifestFile entry{
      role, std::move(name), Digest::of(bytes), bytes.size(), chunk_size, index.digest()};
  return {std::move(bytes), std::move(index), std::move(entry)};
}

inline registry::Variant make_variant(std::string name, std::vector<SampleFile> files) {
  registry::Variant variant;
  variant.name = std::move(name);
  variant.format = "gguf";
  variant.needs.runtime = "llamacpp";
  for (auto& file : files) {
    variant.files.push_back(file.entry);
  }
  return variant;
}

// One model of `acme/log-triage` with the variants given.
inline registry::Manifest make_manifest(std::string_view version,
                                        std::uint64_t release_counter,
                                        std::vector<registry::Variant> variants) {
  registry::Manifest manifest;
  manifest.model = {"acme", "log-triage"};
  manifest.version = *registry::SemanticVersion::parse(version);
  manifest.release_counter = release_counter;
  manifest.variants = std::move(variants);
  return manifest;
}

// Serves blobs from memory and misbehaves on request.
class MemorySource final : public registry::BlobSource {
 public:
  explicit MemorySource(std::string name) : name_(std::move(name)) {}

  void add(const SampleFile& file) {
    blobs_[file.entry.digest] = file.bytes;
    blobs_[file.entry.chunks] = file.index.serialise();
  }
  void add(Bytes bytes) {
    const auto digest = Digest::of(bytes);
    blobs_[digest] = std::move(bytes);
  }
  void corrupt(const Digest& blob, std::size_t offset) { blobs_[blob][offset] ^= 1U; }
  // The next `times` reads stop with kUnavailable after `bytes`.
  void cut_after(std::size_t bytes, unsigned times) {
    cut_after_ = bytes;
    cuts_ = times;
  }

  [[nodiscard]] std::string name() const override { return name_; }
  [[nodiscard]] const std::vector<registry::BlobRange>& requests() const { return requests_; }

  Result<void> read(const registry::BlobRange& range,
                    registry::ByteSink& sink,
                    const registry::CancelFlag& cancel) override {
    requests_.push_back(range);
    const auto found = blobs_.find(range.digest);
    if (found == blobs_.end()) {
      return Error{Error::Code::kNotFound, "has no such blob"};
    }
    auto left = ByteView{found->second}.subspan(range.offset, range.length);
    std::size_t sent = 0;
    while (!left.empty()) {
      if (cancel.cancelled()) {
        return Error{Error::Code::kCancelled, "cancelled"};
      }
      if (cuts_ > 0 && sent >= cut_after_) {
        --cuts_;
        return Error{Error::Code::kUnavailable, "the connection broke"};
      }
      const auto piece = left.first(std::min<std::size_t>(left.size(), kPiece));
      if (auto ok = sink.write(piece); !ok) {
        return ok;
      }
      sent += piece.size();
      left = left.subspan(piece.size());
    }
    return {};
  }

 private:
  static constexpr std::size_t kPiece = 50'000;  // no divisor of a chunk
  std::string name_;
  std::map<Digest, Bytes> blobs_;
  std::vector<registry::BlobRange> requests_;
  std::size_t cut_after_ = 0;
  unsigned cuts_ = 0;
};

// Stores every chunk of `file`, and its index, and commits.
inline Result<void> store_file(registry::BlobStore& store, const SampleFile& file) {
  if (auto index = store.put(file.index.serialise()); !index) {
    return index.error();
  }
  auto ingest = store.begin(file.digest(), file.index);
  if (!ingest) {
    return ingest.error();
  }
  for (std::uint64_t i = 0; i < file.index.count(); ++i) {
    if (auto ok = (*ingest)->write_chunk(i, file.chunk(i)); !ok) {
      return ok;
    }
  }
  return (*ingest)->finish();
}

// Serialises, records and returns the digest.
inline Result<Digest> record(registry::Catalogue& catalogue, const registry::Manifest& manifest) {
  const auto bytes = manifest.serialise();
  if (!bytes) {
    return bytes.error();
  }
  const auto digest = Digest::of(*bytes);
  if (auto ok = catalogue.record_manifest(*bytes, digest, "image", 1); !ok) {
    return ok.error();
  }
  return digest;
}

}  // namespace skerry::test
