#pragma once

// Streams the bytes of an open file as messages with one field `data`: what an export of the audit
// log and of a model's blob have in common.

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include <grpcpp/support/status.h>

#include "skerry/async/offload.hpp"
#include "skerry/common/file_system.hpp"

#include "status.hpp"
#include "stream_writer.hpp"

namespace skerry::agent {

// Sends `size` bytes from the start of `file`, read on the disk pool, at the client's pace. A file
// that ends earlier is DATA_LOSS, a client that left CANCELLED. Does not end the stream.
template <class Message>
Task<grpc::Status> stream_file(Core& core,
                               std::shared_ptr<File> file,
                               std::uint64_t size,
                               std::shared_ptr<StreamWriter<Message>> writer) {
  constexpr std::uint64_t kPiece = 256U << 10U;
  for (std::uint64_t offset = 0; offset < size;) {
    const auto wanted = static_cast<std::size_t>(std::min(kPiece, size - offset));
    auto read = [file, offset, wanted]() -> Result<std::string> {
      std::string piece(wanted, '\0');
      Result<std::size_t> got =
          file->read_at(offset, {reinterpret_cast<std::uint8_t*>(piece.data()), piece.size()});
      if (!got) {
        return got.error();
      }
      piece.resize(*got);
      return piece;
    };
    Result<std::string> piece = co_await async::offload(core.disk, std::move(read));
    if (!piece) {
      co_return to_status(piece.error());
    }
    if (piece->empty()) {
      co_return grpc::Status(grpc::StatusCode::DATA_LOSS, "size_mismatch: the file ended early");
    }
    offset += piece->size();
    Message message;
    message.set_data(*std::move(piece));
    if (!co_await writer->write(std::move(message))) {
      co_return grpc::Status::CANCELLED;
    }
  }
  co_return grpc::Status::OK;
}

}  // namespace skerry::agent
