#include "skerry/security/checkpoint.hpp"

#include <algorithm>
#include <charconv>
#include <utility>
#include <vector>

namespace skerry::security {

namespace {

constexpr std::size_t kMaxNote = 8U << 10U;
constexpr std::size_t kMaxSignatures = 16;
constexpr std::size_t kMaxName = 200;
constexpr std::size_t kKeyHashSize = 4;
constexpr std::uint8_t kEd25519Type = 0x01;
// An em dash and a space.
constexpr std::string_view kSignaturePrefix = "\xe2\x80\x94 ";

Error bad_note(std::string_view why) {
  return Error{Error::Code::kAuditCorrupt, "checkpoint: " + std::string{why}};
}

Result<void> check_note_name(std::string_view name) {
  const bool printable = std::all_of(
      name.begin(), name.end(), [](char c) { return c > ' ' && c != '+' && c != '\x7f'; });
  if (name.empty() || name.size() > kMaxName || !printable) {
    return Error{Error::Code::kInvalidArgument,
                 "a log or witness name has 1 to 200 characters, no space and no '+'"};
  }
  return {};
}

// C2SP signed-note: the first four bytes of SHA-256(name ‖ "\n" ‖ type ‖ key).
Result<std::string> key_hash(std::string_view name, const PublicKey& key) {
  if (key.algorithm() != KeyAlgorithm::kEd25519) {
    return Error{Error::Code::kKeyInvalid,
                 "checkpoints are signed with Ed25519 keys, this one is " +
                     std::string{to_string(key.algorithm())}};
  }
  std::string text{name};
  text += '\n';
  text += static_cast<char>(kEd25519Type);
  text += as_text(key.raw_ed25519());
  return Digest::of(std::string_view{text}).raw().substr(0, kKeyHashSize);
}

Result<std::string> signature_line(std::string_view body,
                                   std::string_view name,
                                   const Signer& key) {
  if (auto checked = check_note_name(name); !checked) {
    return checked.error();
  }
  auto hash = key_hash(name, key.public_key());
  if (!hash) {
    return hash;
  }
  auto signature = key.sign(as_bytes(body));
  if (!signature) {
    return signature.error().with_context("signing a checkpoint");
  }
  std::string bytes = std::move(*hash);
  bytes += as_text(*signature);
  std::string line{kSignaturePrefix};
  line += name;
  line += ' ';
  line += to_base64(as_bytes(bytes));
  line += '\n';
  return line;
}

struct NoteSignature {
  std::string_view name;
  std::string key_hash;
  Bytes value;
};

struct Note {
  // With its last newline: what is signed.
  std::string_view body;
  std::vector<NoteSignature> signatures;
};

Result<NoteSignature> parse_signature(std::string_view line) {
  if (!line.starts_with(kSignaturePrefix)) {
    return bad_note("a signature line does not begin with an em dash and a space");
  }
  line.remove_prefix(kSignaturePrefix.size());
  const std::size_t space = line.find(' ');
  if (space == std::string_view::npos) {
    return bad_note("a signature line without a signature");
  }
  NoteSignature signature;
  signature.name = line.substr(0, space);
  auto bytes = from_base64(line.substr(space + 1));
  if (!bytes || bytes->size() <= kKeyHashSize) {
    return bad_note("a signature that is not base64 of a key hash and a signature");
  }
  signature.key_hash = std::string{as_text(ByteView{*bytes}.first(kKeyHashSize))};
  signature.value.assign(bytes->begin() + kKeyHashSize, bytes->end());
  return signature;
}

Result<Note> split_note(std::string_view text) {
  if (text.size() > kMaxNote || !is_utf8(text)) {
    return bad_note("longer than 8 KiB or not UTF-8");
  }
  const std::size_t split = text.rfind("\n\n");
  if (split == std::string_view::npos || text.back() != '\n') {
    return bad_note("not a signed note");
  }
  Note note;
  note.body = text.substr(0, split + 1);
  std::string_view rest = text.substr(split + 2);
  while (!rest.empty()) {
    const std::size_t end = rest.find('\n');
    auto signature = parse_signature(rest.substr(0, end));
    if (!signature) {
      return std::move(signature).error();
    }
    note.signatures.push_back(std::move(*signature));
    rest.remove_prefix(end + 1);
    if (note.signatures.size() > kMaxSignatures) {
      return bad_note("more than 16 signatures");
    }
  }
  if (note.signatures.empty()) {
    return bad_note("no signature");
  }
  return note;
}

std::string_view take_line(std::string_view& text) {
  const std::size_t end = text.find('\n');
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return line;
}

Result<Checkpoint> parse_body(std::string_view body) {
  Checkpoint checkpoint;
  checkpoint.origin = std::string{take_line(body)};
  if (auto checked = check_note_name(checkpoint.origin); !checked) {
    return bad_note("bad origin");
  }
  const std::string_view size = take_line(body);
  const auto [end, ec] = std::from_chars(size.data(), size.data() + size.size(), checkpoint.size);
  if (ec != std::errc{} || end != size.data() + size.size() ||
      (size.size() > 1 && size.front() == '0')) {
    return bad_note("the size is no decimal number");
  }
  auto root = from_base64(take_line(body));
  auto digest = root ? Digest::from_bytes(*root) : Result<Digest>{bad_note("")};
  if (!digest) {
    return bad_note("the root is not base64 of 32 bytes");
  }
  checkpoint.root = *digest;
  return checkpoint;
}

}  // namespace

std::string Checkpoint::body() const {
  return origin + "\n" + std::to_string(size) + "\n" + to_base64(root.bytes()) + "\n";
}

Result<std::string> sign_checkpoint(const Checkpoint& checkpoint,
                                    std::string_view signer_name,
                                    const Signer& key) {
  if (auto checked = check_note_name(checkpoint.origin); !checked) {
    return checked.error();
  }
  const std::string body = checkpoint.body();
  auto line = signature_line(body, signer_name, key);
  if (!line) {
    return line;
  }
  return body + "\n" + *line;
}

Result<std::string> cosign_checkpoint(std::string_view note,
                                      std::string_view witness_name,
                                      const Signer& witness) {
  auto split = split_note(note);
  if (!split) {
    return std::move(split).error();
  }
  auto line = signature_line(split->body, witness_name, witness);
  if (!line) {
    return line;
  }
  return std::string{note} + *line;
}

Result<Checkpoint> verify_checkpoint(std::string_view note,
                                     std::string_view signer_name,
                                     const PublicKey& key) {
  auto split = split_note(note);
  if (!split) {
    return std::move(split).error();
  }
  auto hash = key_hash(signer_name, key);
  if (!hash) {
    return std::move(hash).error();
  }
  for (const NoteSignature& signature : split->signatures) {
    if (signature.name != signer_name || signature.key_hash != *hash) {
      continue;
    }
    if (auto verified = key.verify(as_bytes(split->body), signature.value); !verified) {
      return bad_note("the signature by " + std::string{signer_name} + " is wrong");
    }
    return parse_body(split->body);
  }
  return bad_note("not signed by " + std::string{signer_name} + " with the given key");
}

Result<Checkpoint> parse_checkpoint(std::string_view note) {
  auto split = split_note(note);
  if (!split) {
    return std::move(split).error();
  }
  return parse_body(split->body);
}

Result<std::string> note_verifier_key(std::string_view name, const PublicKey& key) {
  if (auto checked = check_note_name(name); !checked) {
    return checked.error();
  }
  auto hash = key_hash(name, key);
  if (!hash) {
    return hash;
  }
  Bytes typed{kEd25519Type};
  const Bytes raw = key.raw_ed25519();
  typed.insert(typed.end(), raw.begin(), raw.end());
  return std::string{name} + "+" + to_hex(as_bytes(*hash)) + "+" + to_base64(typed);
}

Result<NoteVerifier> parse_note_verifier_key(std::string_view text) {
  const Error bad{Error::Code::kKeyInvalid,
                  "not a verifier key of the form name+hash+base64 (Ed25519)"};
  const std::size_t first = text.find('+');
  const std::size_t second = first == std::string_view::npos ? first : text.find('+', first + 1);
  if (second == std::string_view::npos) {
    return bad;
  }
  auto typed = from_base64(text.substr(second + 1));
  if (!typed || typed->size() != 33 || typed->front() != kEd25519Type) {
    return bad;
  }
  auto key = PublicKey::from_ed25519(ByteView{*typed}.subspan(1));
  if (!key) {
    return std::move(key).error();
  }
  const std::string_view name = text.substr(0, first);
  auto hash = key_hash(name, *key);
  if (!hash || to_hex(as_bytes(*hash)) != text.substr(first + 1, second - first - 1)) {
    return Error{Error::Code::kKeyInvalid, "the verifier key's hash does not fit its key"};
  }
  return NoteVerifier{std::string{name}, std::move(*key)};
}

}  // namespace skerry::security
