#pragma once

// Documents that the `security` role signs (policy, revocations, permits) in an operator's working
// copy: the entry is in the staged metadata, the bytes are in `<folder>/blobs`. Used by `skerry
// policy publish`, `skerry repo revoke-model` and `permit-downgrade`, and by `skerry fleet
// publish`, which gives the bytes to the controller.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/security/tuf/repository.hpp"

#include "invocation.hpp"

namespace skerry::cli {

// The options that all commands on such documents share.
struct DocumentOptions {
  std::string folder;
  std::string role = "security";
  std::vector<std::string> keys;
  std::string online_key;
};
void add_document_options(Command& command, DocumentOptions& options);

class SecurityDocuments {
 public:
  // kNotFound with what to do first if nobody delegates to the role.
  static Result<SecurityDocuments> open(Invocation& invocation, const DocumentOptions& options);

  // The document under `path` as it is staged, or else published; none if there is none. kNotFound
  // if it is listed and its bytes are not in this working copy.
  [[nodiscard]] Result<std::optional<std::string>> current(std::string_view path) const;
  // Stages `document` under `path`, signs and publishes with the keys that the options name, and
  // says what is left to do.
  Result<void> stage(std::string_view path,
                     std::string_view document,
                     std::string_view type,
                     std::int64_t version);

 private:
  SecurityDocuments(Invocation& invocation,
                    const DocumentOptions& options,
                    std::unique_ptr<security::tuf::Repository> repository);

  Invocation& invocation_;
  const DocumentOptions& options_;
  std::unique_ptr<security::tuf::Repository> repository_;
};

struct DocumentBlob {
  std::string path;
  Digest digest;
  std::uint64_t length = 0;
};
// What the working copy's lists, staged or else published, name under "security/".
Result<std::vector<DocumentBlob>> list_documents(const security::tuf::Repository& repository);
// `<folder>/blobs/sha256/ab/<hex>`: where a device that reads the folder looks, too.
std::filesystem::path document_file(const std::string& folder, const Digest& digest);

}  // namespace skerry::cli
