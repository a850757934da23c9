/** The page that shows an OpenAPI document with Swagger UI. Names are URLs, relative to the page's. */
export function referencePage({ title, document, links, style, script, starter, icon }: ReferencePageNames): string {
  const navigation = links.map(({ label, url, isHere }) =>
    isHere ? `<a href="${url}" aria-current="page"><b>${label}</b></a>` : `<a href="${url}">${label}</a>`,
  );
  return `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>${title}</title>
    <link rel="icon" type="image/png" href="${icon}">
    <link rel="stylesheet" href="${style}">
    <script src="${script}" defer></script>
    <script src="${starter}" defer></script>
  </head>
  <body>
    <nav class="swagger-ui"><div class="wrapper"><p>${navigation.join(" · ")}</p></div></nav>
    <div id="reference" data-document="${document}"></div>
    <noscript>This page needs JavaScript. The document itself is <a href="${document}">${document}</a>.</noscript>
  </body>
</html>
`;
}

export interface ReferencePageNames {
  readonly title: string;
  readonly document: string;
  /** To the pages of all documents. */
  readonly links: readonly { readonly label: string; readonly url: string; readonly isHere: boolean }[];
  readonly style: string;
  readonly script: string;
  readonly starter: string;
  readonly icon: string;
}

/** Starts Swagger UI in the page: a file of its own, because the page's policy lets no script stand in it. */
export const referenceStarter = `const element = document.getElementById("reference");
SwaggerUIBundle({
  domNode: element,
  url: element.dataset.document,
  presets: [SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  // The check by a server of somebody else is off, and a key is forgotten with the page.
  validatorUrl: null,
  persistAuthorization: false,
});
`;

/**
 * What the page may load and reach: files and operations of its own origin alone. Images as `data:` are those inside Swagger UI's style sheet.
 * Nobody may show the page in a frame.
 */
export const referencePolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "form-action 'none'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join("; ");
