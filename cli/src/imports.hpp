#pragma once

// The import service of the administration socket as plain calls, as admin.hpp for the rest. All
// block; gRPC itself is included only by imports.cpp.

#include <functional>
#include <string>

#include "skerry/admin/v1/imports.pb.h"
#include "skerry/cli/import_manifest.hpp"

#include "invocation.hpp"

namespace skerry::cli {

namespace imports = ::skerry::admin::v1;

Result<imports::PlanImportResponse> call_imports(Invocation&, const imports::PlanImportRequest&);
Result<imports::CatalogueModel> call_imports(Invocation&, const imports::CommitImportRequest&);
Result<imports::ListCatalogueResponse> call_imports(Invocation&,
                                                    const imports::ListCatalogueRequest&);
Result<imports::GetManifestResponse> call_imports(Invocation&, const imports::GetManifestRequest&);
Result<imports::SlotStatus> call_imports(Invocation&, const imports::ActivateImportRequest&);
Result<imports::CatalogueModel> call_imports(Invocation&, const imports::RemoveImportRequest&);
Result<imports::CatalogueModel> call_imports(Invocation&, const imports::PinModelRequest&);
Result<imports::CatalogueModel> call_imports(Invocation&, const imports::UnpinModelRequest&);
Result<imports::CatalogueModel> vouch_model(Invocation&, const imports::VouchRequest&);
Result<imports::CatalogueModel> revoke_vouch(Invocation&, const imports::VouchRequest&);

// A model as people name it: "name" alone is an imported one, "local/name".
std::string registry_reference(const std::string& text);

// Sends one blob of `model` ("local/name") in chunks. `sent` is told of each chunk's bytes.
Result<void> put_blob(Invocation& invocation,
                      const std::string& model,
                      const ImportBlob& blob,
                      const std::function<void(std::uint64_t)>& sent);

// Reads one blob of a model, handing each piece to `take`; its failure ends the call and is
// returned.
Result<void> read_blob(Invocation& invocation,
                       const imports::ReadBlobRequest& request,
                       const std::function<Result<void>(const std::string&)>& take);

}  // namespace skerry::cli
