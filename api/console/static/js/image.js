/* The page of one image: says so where the picture cannot be shown. */

for (const figure of document.querySelectorAll("[data-picture]")) {
  const picture = figure.querySelector(".picture-frame img");
  const say = () => {
    picture.closest("a").hidden = true;
    figure.querySelector(".picture-gone").hidden = false;
  };
  if (!picture) continue;
  if (picture.complete && picture.naturalWidth === 0) say();
  else picture.addEventListener("error", say, { once: true });
}
