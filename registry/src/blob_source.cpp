#include "skerry/registry/blob_source.hpp"

#include <algorithm>

#include "buffer_worker.hpp"

namespace skerry::registry {
namespace {

constexpr std::size_t kPiece = 256U << 10U;

}  // namespace

Result<void> FileSource::read(const BlobRange& range, ByteSink& sink, const CancelFlag& cancel) {
  const auto hex = range.digest.hex();
  const auto parent =
      naming_ == BlobNaming::kFlat ? folder_ / "sha256" : folder_ / "sha256" / hex.substr(0, 2);
  auto file = fs_.open(parent / hex, OpenMode::kRead);
  if (!file) {
    return file.error().with_context(name());
  }
  Buffer buffer{std::min<std::size_t>(kPiece, range.length)};
  for (std::uint64_t done = 0; done < range.length;) {
    if (cancel.cancelled()) {
      return Error{Error::Code::kCancelled, name() + ": cancelled"};
    }
    const auto wanted = std::min<std::uint64_t>(buffer.space().size(), range.length - done);
    const auto count = (*file)->read_at(range.offset + done, buffer.space().first(wanted));
    if (!count) {
      return count.error().with_context(name());
    }
    if (*count != wanted) {
      return Error{Error::Code::kSizeMismatch,
                   name() + ": blob " + range.digest.to_string() + " ends at byte " +
                       std::to_string(range.offset + done + *count)};
    }
    if (auto ok = sink.write(buffer.space().first(wanted)); !ok) {
      return ok;
    }
    done += wanted;
  }
  return {};
}

}  // namespace skerry::registry
