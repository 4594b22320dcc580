#include "inflate.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <memory>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "skerry/common/bytes.hpp"
#include "skerry/common/unique_fd.hpp"

namespace skerry::registry {
namespace {

constexpr std::size_t kInflateBuffer = 1U << 20U;
constexpr int kGzipWindow = 15 + 16;  // gzip's header, not zlib's

Error not_packed(std::string_view what) {
  return {Error::Code::kParse, "not " + std::string{what} + ", or damaged"};
}

// Bytes in, bytes out. `done` says that the packed data ended where it should.
class Unpacker {
 public:
  virtual ~Unpacker() = default;
  // Takes from `in` and fills `out`; gives how much of each.
  virtual Result<std::pair<std::size_t, std::size_t>> step(ByteView in,
                                                           std::span<std::uint8_t> out) = 0;
  [[nodiscard]] virtual bool done() const = 0;
};

class GzipUnpacker final : public Unpacker {
 public:
  ~GzipUnpacker() override {
    if (started_) {
      (void)inflateEnd(&stream_);
    }
  }
  Result<std::pair<std::size_t, std::size_t>> step(ByteView in,
                                                   std::span<std::uint8_t> out) override {
    if (!started_) {
      if (inflateInit2(&stream_, kGzipWindow) != Z_OK) {
        return Error{Error::Code::kInternal, "zlib did not start"};
      }
      started_ = true;
    }
    if (done_) {
      // Members one after the other are one file.
      (void)inflateReset(&stream_);
      done_ = false;
    }
    // zlib does not write to its input; it only lacks the const.
    stream_.next_in = const_cast<Bytef*>(in.data());
    stream_.avail_in = static_cast<uInt>(in.size());
    stream_.next_out = out.data();
    stream_.avail_out = static_cast<uInt>(out.size());
    const int result = ::inflate(&stream_, Z_NO_FLUSH);
    if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR) {
      return not_packed("gzip");
    }
    done_ = result == Z_STREAM_END;
    return std::pair{in.size() - stream_.avail_in, out.size() - stream_.avail_out};
  }
  [[nodiscard]] bool done() const override { return done_; }

 private:
  z_stream stream_{};
  bool started_ = false;
  bool done_ = false;
};

struct FreeZstd {
  void operator()(ZSTD_DStream* stream) const noexcept { (void)ZSTD_freeDStream(stream); }
};

class ZstdUnpacker final : public Unpacker {
 public:
  Result<std::pair<std::size_t, std::size_t>> step(ByteView in,
                                                   std::span<std::uint8_t> out) override {
    if (!stream_) {
      return Error{Error::Code::kInternal, "zstd did not start"};
    }
    ZSTD_inBuffer input{in.data(), in.size(), 0};
    ZSTD_outBuffer output{out.data(), out.size(), 0};
    const std::size_t result = ZSTD_decompressStream(stream_.get(), &output, &input);
    if (ZSTD_isError(result) != 0) {
      return not_packed("zstd");
    }
    done_ = result == 0;
    return std::pair{input.pos, output.pos};
  }
  [[nodiscard]] bool done() const override { return done_; }

 private:
  std::unique_ptr<ZSTD_DStream, FreeZstd> stream_{ZSTD_createDStream()};
  bool done_ = false;
};

// In the folder for temporary files; no name leads to it.
Result<UniqueFd> nameless_file() {
  std::error_code ec;
  std::filesystem::path folder = std::filesystem::temp_directory_path(ec);
  if (ec) {
    folder = "/tmp";
  }
  UniqueFd fd{::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, S_IRUSR | S_IWUSR)};
  if (!fd) {
    return errno_error(errno, "a file to unpack into, in " + folder.string());
  }
  return fd;
}

Result<void> append(const UniqueFd& fd, std::uint64_t offset, ByteView bytes) {
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t count = ::pwrite(
        fd.get(), bytes.data() + done, bytes.size() - done, static_cast<off_t>(offset + done));
    if (count < 0 && errno != EINTR) {
      return errno_error(errno, "unpacking");
    }
    done += count > 0 ? static_cast<std::size_t>(count) : 0;
  }
  return {};
}

Result<void> unpack_into(File& packed,
                         std::uint64_t size,
                         Unpacker& unpacker,
                         const UniqueFd& out) {
  const std::uint64_t limit = std::max(InflateLimits::kFloor, size * InflateLimits::kRatio);
  Bytes in(kInflateBuffer);
  Bytes buffer(kInflateBuffer);
  std::uint64_t read = 0;
  std::uint64_t written = 0;
  std::size_t begin = 0;
  std::size_t end = 0;
  for (;;) {
    if (begin == end && read < size) {
      const auto got = packed.read_at(read, in);
      if (!got || *got == 0) {
        return got ? not_packed("complete") : got.error();
      }
      read += *got;
      begin = 0;
      end = *got;
    } else if (begin == end && unpacker.done()) {
      return {};
    }
    // Without input it may still have output left.
    const auto moved = unpacker.step(ByteView{in}.subspan(begin, end - begin), buffer);
    if (!moved) {
      return moved.error();
    }
    if (moved->first == 0 && moved->second == 0) {
      return not_packed("complete");
    }
    begin += moved->first;
    if (written + moved->second > limit) {
      return Error{Error::Code::kTooLarge,
                   "it unpacks to more than " + std::to_string(limit) + " bytes"};
    }
    if (auto ok = append(out, written, ByteView{buffer}.first(moved->second)); !ok) {
      return ok;
    }
    written += moved->second;
  }
}

}  // namespace

Result<std::unique_ptr<File>> inflate(FileSystem& fs, File& packed, Compression compression) {
  const auto status = packed.status();
  if (!status) {
    return status.error();
  }
  const auto out = nameless_file();
  if (!out) {
    return out.error();
  }
  const std::unique_ptr<Unpacker> unpacker =
      compression == Compression::kGzip
          ? std::unique_ptr<Unpacker>{std::make_unique<GzipUnpacker>()}
          : std::make_unique<ZstdUnpacker>();
  if (auto ok = unpack_into(packed, status->size, *unpacker, *out); !ok) {
    return ok.error();
  }
  return fs.open("/proc/self/fd/" + std::to_string(out->get()), OpenMode::kRead);
}

}  // namespace skerry::registry
