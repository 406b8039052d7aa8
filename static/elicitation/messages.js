/**
 * Every sentence that the participant's page itself says, in one place for the editor and the translator.
 * A study's own wording (question, instructions) comes from the server instead.
 */

export const messages = {
  next: 'Continue',
  back: 'Back',

  saved: (saved, total) => `${saved} of ${total} saved`,
  saving: (saved, total) => `${saved} of ${total} saved, saving…`,
  unsentHere: (saved, total, unsent) => `${saved} of ${total} saved, ${unsent} kept on this computer`,

  picture: (number, total) => `Picture ${number} of ${total}`,
  perspective: {
    you: 'Say what you yourself see.',
    '100 others': 'Think of 100 other people: say what they would see on average.',
  },
  pictureAlt: 'The picture to judge',
  notSet: 'not set yet',
  setHint: 'press anywhere on the line',
  cannotTell: 'I cannot tell',
  cannotTellHint: 'Choose this if the picture gives you no idea at all.',
  cannotTellReading: 'not needed',
  confidenceEnds: ['not sure at all', 'completely sure'],
  missing: {
    both: 'Set both sliders, or choose “I cannot tell”.',
    mixing: 'Set the first slider too.',
    confidence: 'Set the second slider too.',
  },
  ready: 'Ready to continue.',

  exampleTitle: 'How an answer looks',
  exampleLead:
    'Three people looked at the same picture. They answered differently, and none of them is wrong: we want to know what people see.',
  exampleAnswers: ['One person', 'Another person', 'A third person'],
  exampleMeaning: (mixture, confidence) => `sees ${mixture}, and is ${confidence}.`,
  exampleCannotTell: 'has no idea, and chooses “I cannot tell”.',

  practiceTitle: 'Try the controls',
  practiceLead: 'This picture is for practice only. Your answer is not judged.',
  practiceReading: {
    mixing: {
      none: (left, right) =>
        `First slider: the left end means only ${left}, the right end means only ${right}.`,
      end: (name) => `First slider: you moved it to the end. It now says that you see only ${name}.`,
      middle: 'First slider: it is in the middle. It now says that you see as much of one as of the other.',
      side: (name, text) => `First slider: you moved it towards ${name}. It now says ${text}.`,
    },
    confidence: {
      none: 'Second slider: how sure you are, from not at all on the left to completely on the right.',
      set: (text) => `Second slider: it now says that you are ${text}.`,
    },
    cannotTell: 'You chose “I cannot tell”. The sliders are not needed for such an answer.',
    keys: 'Keyboard: Tab goes from one control to the next, the arrow keys move a slider, Home and End go to its ends.',
  },

  checkTitle: 'A few questions before you start',
  checkLead: 'They make sure that the instructions are clear.',
  checkWrong: (rounds) =>
    `Not every answer was right. Please read the instructions once more; you can try ${rounds === 1 ? 'one more time' : `${rounds} more times`}.`,
  checkAgain: 'Read the instructions again',
  checkFailedTitle: 'This is where it ends',
  checkFailed:
    'The questions about the instructions were not answered correctly, so you cannot go on with this study. Thank you for your time. If you came from a recruiting site, please return your place there.',

  preloadTitle: 'Loading the pictures',
  preloadProgress: (loaded, total) => `${loaded} of ${total} loaded`,
  preloadFailed: (count) =>
    `${count === 1 ? 'One picture' : `${count} pictures`} could not be loaded. Check your connection, then try again.`,
  tryAgain: 'Try again',

  startTitle: 'Ready',
  startText: (total) =>
    `There are ${total} pictures. Take the time you need; every answer is saved as you go.`,
  start: 'Start',
  welcomeTitle: 'Welcome back',
  welcomeText: (answered, total) =>
    `You have answered ${answered} of ${total} pictures. You go on where you stopped.`,
  goOn: 'Go on',
  readAgain: 'Read the instructions again',

  holdTitle: 'Waiting for the connection',
  holdDurable: 'Your answers are safe on this computer. You can go on as soon as they are saved.',
  holdMemory: 'Please keep this page open: your last answers are not saved yet.',
  tryNow: 'Try now',

  finishing: 'Saving your last answers…',
  missingTitle: 'A few answers are missing',
  missingText: (count) =>
    `${count === 1 ? 'One answer' : `${count} answers`} did not reach us. Please give ${count === 1 ? 'it' : 'them'} again.`,
  missingStuck: 'If this page comes back, download your answers and send them to the people who invited you.',
  giveAgain: 'Answer again',
  download: 'Download my answers',

  elsewhereTitle: 'You continued in another window',
  elsewhere: 'This study is open in another window or on another device. Close this window, or go on here.',
  goOnHere: 'Go on here',

  expiredTitle: 'Please open the study again',
  expired:
    'This page is no longer connected to your place in the study. Nothing is lost: answers not yet saved are sent when you open it again.',
  closedTitle: 'This study page has closed',
  closed: 'It takes no more answers.',
  openAgain: 'Open again',

  brokenTitle: 'The study could not be opened',
  broken: (reason) => `${reason} Check your connection, then try again.`,
};
