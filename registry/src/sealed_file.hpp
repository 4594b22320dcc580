#pragma once

// A file that reads and is written as the blob it holds, while the disk has one message of
// security/chunked_encryption.hpp: what the store opens in place of a plain file where it encrypts.
//
// A chunk of a blob covers whole chunks of the message (all chunk sizes are multiples of 16 KiB),
// so chunks may be written in any order and by several threads, and a chunk that is written again
// after a crash has the same bytes.

#include <memory>
#include <string_view>

#include "skerry/common/file_system.hpp"
#include "skerry/registry/store_key.hpp"

namespace skerry::registry {

// "<hex>.sealed" beside where the plain blob would be.
inline constexpr std::string_view kSealedSuffix = ".sealed";
// What a message is bound to: a blob cannot be passed off as a chunk that waits, nor the reverse.
inline constexpr std::string_view kSealedBlobContext = "skerry store blob v1";
inline constexpr std::string_view kSealedInboxContext = "skerry store inbox v1";

// An empty file that becomes a sealed one with `allocate`, which says its size once and makes its
// head durable. `key` must outlive it.
std::unique_ptr<File> create_sealed(std::unique_ptr<File> file, const StoreKey& key);

// kDigestMismatch if the file was cut; kKeyInvalid if it was sealed with another key or its head
// was changed. Later reads of chunks that were changed give kDigestMismatch.
Result<std::unique_ptr<File>> open_sealed(std::unique_ptr<File> file, const StoreKey& key);

}  // namespace skerry::registry
