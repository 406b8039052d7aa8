/**
 * Sends a window that is too narrow for the study to the page that says so, before anything is shown in it.
 */

const { leastWidth, deviceUrl } = document.getElementById('stage').dataset;

if (window.innerWidth < Number(leastWidth)) window.location.replace(deviceUrl);
