#include "chunk_map.hpp"

#include <algorithm>

namespace skerry::registry {
namespace {

constexpr std::string_view kMagic = "SKMAP001";
constexpr std::size_t kHeaderSize = 64;

void put_little_endian(Bytes& out, std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) {
    out.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
  }
}

Bytes make_header(const ChunkIndex& index) {
  Bytes header;
  const auto magic = as_bytes(kMagic);
  header.assign(magic.begin(), magic.end());
  put_little_endian(header, index.size(), 8);
  put_little_endian(header, index.chunk_size(), 4);
  put_little_endian(header, 0, 4);
  header.insert(header.end(), index.digest().bytes().begin(), index.digest().bytes().end());
  header.resize(kHeaderSize);
  return header;
}

}  // namespace

Result<ChunkMap> ChunkMap::create(FileSystem& fs,
                                  const std::filesystem::path& path,
                                  const ChunkIndex& index) {
  auto file = fs.open(path, OpenMode::kCreateExclusive, 0600);
  if (!file) {
    return std::move(file).error();
  }
  Bytes content = make_header(index);
  content.resize(kHeaderSize + index.count());
  if (auto ok = (*file)->write_at(0, content); !ok) {
    return ok.error();
  }
  return ChunkMap{std::move(*file), std::vector<std::uint8_t>(index.count())};
}

Result<ChunkMap> ChunkMap::load(FileSystem& fs,
                                const std::filesystem::path& path,
                                const ChunkIndex& index) {
  auto file = fs.open(path, OpenMode::kReadWrite);
  if (!file) {
    return std::move(file).error();
  }
  Bytes content(kHeaderSize + index.count() + 1);
  const auto count = (*file)->read_at(0, content);
  if (!count) {
    return count.error();
  }
  const Bytes header = make_header(index);
  if (*count + 1 != content.size() || !std::equal(header.begin(), header.end(), content.begin())) {
    return Error{Error::Code::kFailedPrecondition,
                 path.string() + " belongs to another blob or is damaged"};
  }
  content.pop_back();
  return ChunkMap{std::move(*file), {content.begin() + kHeaderSize, content.end()}};
}

Result<void> ChunkMap::set(std::uint64_t chunk, bool verified) {
  const std::uint8_t value = verified ? 1 : 0;
  claimed_[chunk] = value;
  return file_->write_at(kHeaderSize + chunk, {&value, 1});
}

}  // namespace skerry::registry
