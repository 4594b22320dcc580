#pragma once

// The file of one state on disk: one message of security/chunked_encryption.hpp, whose plain text
// is a head that says what the state is, filled up to whole chunks, and the state
// (docs/formats/prefix.md). Nothing of a file is believed that its tags do not vouch for. For
// PrefixStore.

#include "skerry/common/bytes.hpp"
#include "skerry/common/file_system.hpp"
#include "skerry/common/result.hpp"
#include "skerry/common/unique_fd.hpp"

#include "prefix_index.hpp"

namespace skerry::agent {

// A state with more names, or a longer format, has no file.
inline constexpr std::size_t kMaxPrefixNames = 8192;
inline constexpr std::size_t kMaxPrefixFormat = 256;

// Bytes of the file of a state.
std::uint64_t prefix_file_size(const ShelvedState& state);

// Writes the whole of a new, empty file; the state comes from the start of `bytes`, a descriptor.
// Not durable: a file that a crash left torn is found out when it is read.
Result<void> write_prefix(File& file, ByteView key, const ShelvedState& state, int bytes);

// What its head says; `file` (the name) is left empty. kKeyInvalid, kDigestMismatch, kSizeMismatch,
// kParse: it is not a whole file of ours.
Result<ShelvedState> read_prefix_head(File& file, ByteView key);

// The state, in sealed memory, if the file is still that of `state` and every byte is what was
// written.
Result<UniqueFd> read_prefix(File& file, ByteView key, const ShelvedState& state);

}  // namespace skerry::agent
