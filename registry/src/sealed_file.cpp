#include "sealed_file.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include "skerry/security/chunked_encryption.hpp"

#include "buffer_worker.hpp"

namespace skerry::registry {
namespace {

using security::ChunkedMessage;

constexpr std::size_t kPlainUnit = ChunkedMessage::kChunk;
constexpr std::size_t kSealedUnit = ChunkedMessage::kSealedChunk;
// So many chunks are sealed or opened with one call of the file below.
constexpr std::size_t kSlabUnits = 16;

class SealedFile final : public File {
 public:
  SealedFile(std::unique_ptr<File> file, const StoreKey& key) : file_(std::move(file)), key_(key) {}

  Result<void> load() {
    const auto status = file_->status();
    if (!status) {
      return status.error();
    }
    const auto size = ChunkedMessage::plain_size(status->size);
    if (!size) {
      return Error{Error::Code::kDigestMismatch, "sealed file: " + size.error().message()};
    }
    std::array<std::uint8_t, ChunkedMessage::kHeader> head{};
    const auto count = file_->read_at(0, head);
    if (!count) {
      return count.error();
    }
    auto message = ChunkedMessage::open(
        key_.bytes(), ByteView{head}.first(*count), as_bytes(kSealedBlobContext));
    if (!message) {
      return message.error().with_context("sealed file");
    }
    size_ = *size;
    message_.emplace(std::move(*message));
    return {};
  }

  Result<void> allocate(std::uint64_t size) override {
    if (message_) {
      return Error{Error::Code::kFailedPrecondition, "a sealed file has its size already"};
    }
    auto message = ChunkedMessage::create(key_.bytes(), as_bytes(kSealedBlobContext));
    if (!message) {
      return message.error();
    }
    if (auto ok = file_->allocate(ChunkedMessage::sealed_size(size)); !ok) {
      return ok;
    }
    if (auto ok = file_->write_at(0, message->header()); !ok) {
      return ok;
    }
    if (size % kPlainUnit == 0) {
      // The empty chunk that says where the message ends.
      std::array<std::uint8_t, ChunkedMessage::kTag> end{};
      if (auto ok = message->seal(size / kPlainUnit, {}, end); !ok) {
        return ok;
      }
      if (auto ok = file_->write_at(ChunkedMessage::offset_of(size / kPlainUnit), end); !ok) {
        return ok;
      }
    }
    // Without its head a chunk is lost: it must not be younger than one.
    if (auto ok = file_->sync(); !ok) {
      return ok;
    }
    size_ = size;
    message_.emplace(std::move(*message));
    return {};
  }

  Result<std::size_t> read_at(std::uint64_t offset, std::span<std::uint8_t> out) override {
    if (!message_) {
      return Error{Error::Code::kFailedPrecondition, "a sealed file without a size"};
    }
    if (offset >= size_ || out.empty()) {
      return std::size_t{0};
    }
    out = out.first(std::min<std::uint64_t>(out.size(), size_ - offset));
    Buffer sealed{kSlabUnits * kSealedUnit};
    std::optional<Buffer> aside;
    for (std::size_t done = 0; done < out.size();) {
      const std::uint64_t at = offset + done;
      const std::uint64_t unit = at / kPlainUnit;
      const std::uint64_t start = unit * kPlainUnit;
      const std::uint64_t stop = std::min<std::uint64_t>(
          {size_, start + kSlabUnits * kPlainUnit, end_of_unit(offset + out.size())});
      auto rest = out.subspan(done);
      if (start == at && stop - start <= rest.size()) {
        // Straight to where it is wanted.
        if (auto ok = read_units(unit, sealed, rest.first(stop - start)); !ok) {
          return ok.error();
        }
        done += stop - start;
        continue;
      }
      if (!aside) {
        aside.emplace(kSlabUnits * kPlainUnit);
      }
      const auto plain = aside->space().first(stop - start);
      if (auto ok = read_units(unit, sealed, plain); !ok) {
        return ok.error();
      }
      const auto piece = plain.subspan(at - start);
      const auto count = std::min(piece.size(), rest.size());
      std::copy_n(piece.begin(), count, rest.begin());
      done += count;
    }
    return out.size();
  }

  Result<void> write_at(std::uint64_t offset, ByteView data) override {
    const bool whole_units = offset % kPlainUnit == 0 &&
                             (data.size() % kPlainUnit == 0 || offset + data.size() == size_);
    if (!message_ || !whole_units || offset > size_ || data.size() > size_ - offset) {
      return Error{Error::Code::kInvalidArgument,
                   "a sealed file is written in whole chunks inside its size"};
    }
    Buffer sealed{kSlabUnits * kSealedUnit};
    for (std::size_t done = 0; done < data.size();) {
      const auto plain = data.subspan(done, std::min(data.size() - done, kSlabUnits * kPlainUnit));
      const std::uint64_t unit = (offset + done) / kPlainUnit;
      const std::size_t units = (plain.size() + kPlainUnit - 1) / kPlainUnit;
      const auto out = sealed.space().first(plain.size() + units * ChunkedMessage::kTag);
      if (auto ok = message_->seal(unit, plain, out); !ok) {
        return ok;
      }
      if (auto ok = file_->write_at(ChunkedMessage::offset_of(unit), out); !ok) {
        return ok;
      }
      done += plain.size();
    }
    return {};
  }

  Result<void> truncate(std::uint64_t /*size*/) override {
    return Error{Error::Code::kUnimplemented, "a sealed file keeps its size"};
  }
  void drop_cached() override { file_->drop_cached(); }
  Result<void> sync() override { return file_->sync(); }
  Result<void> set_mode(std::uint32_t mode) override { return file_->set_mode(mode); }

  [[nodiscard]] Result<FileStatus> status() const override {
    auto status = file_->status();
    if (status) {
      status->size = size_;
    }
    return status;
  }

  // The sealed bytes: for what is asked of the file itself, not of what it holds.
  [[nodiscard]] int fd() const override { return file_->fd(); }

 private:
  [[nodiscard]] static std::uint64_t end_of_unit(std::uint64_t offset) {
    return (offset + kPlainUnit - 1) / kPlainUnit * kPlainUnit;
  }

  // `plain` is whole chunks, or ends where the file ends.
  Result<void> read_units(std::uint64_t unit, Buffer& sealed, std::span<std::uint8_t> plain) {
    const std::size_t units = (plain.size() + kPlainUnit - 1) / kPlainUnit;
    const auto in = sealed.space().first(plain.size() + units * ChunkedMessage::kTag);
    const auto count = file_->read_at(ChunkedMessage::offset_of(unit), in);
    if (!count) {
      return count.error();
    }
    if (*count != in.size()) {
      return Error{Error::Code::kDigestMismatch, "the sealed file was cut while it was read"};
    }
    return message_->unseal(unit, in, plain);
  }

  std::unique_ptr<File> file_;
  const StoreKey& key_;
  std::optional<ChunkedMessage> message_;
  std::uint64_t size_ = 0;
};

}  // namespace

std::unique_ptr<File> create_sealed(std::unique_ptr<File> file, const StoreKey& key) {
  return std::make_unique<SealedFile>(std::move(file), key);
}

Result<std::unique_ptr<File>> open_sealed(std::unique_ptr<File> file, const StoreKey& key) {
  auto sealed = std::make_unique<SealedFile>(std::move(file), key);
  if (auto ok = sealed->load(); !ok) {
    return ok.error();
  }
  return std::unique_ptr<File>{std::move(sealed)};
}

}  // namespace skerry::registry
